"""What a user reads when a configuration is wrong."""

from __future__ import annotations

from textwrap import dedent

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.errors import ConfigError
from tests.config.reading_cases import reading


class PatternTests(SynchronousTestCase):
    """Text that must have a form."""

    def test_words(self) -> None:
        """Who writes a key itself, or http, is told what belongs there, not what stood there."""
        for key, text, expected in (
            (
                "jwks_url",
                "http://issuer.example",
                "an address that begins with https://",
            ),
            ("api_keys", "{ci: hunter2}", "a SHA-256, which has 64 hexadecimal digits"),
        ):
            problem = self.only(f"auth: {{{key}: {text}}}")
            self.assertIn(f"expected {expected}", problem)
            self.assertNotIn("hunter2", problem)

    def test_names_of_modules(self) -> None:
        """What cannot be a module's name is refused before anything is imported."""
        for odd in ("shop-api", "shop/api", "shop.py:", "1shop", ".shop", "sh op"):
            said = self.only(f"toolbox: {{modules: ['{odd}']}}")
            expected = "expected a module's name, as in shop.api, not the text"
            self.assertIn(f"toolbox.modules[0]: {expected} '{odd}'", said)
        for odd in ("shop", "shop:", "shop:make()", "shop.make_app", "Tbtwist"):
            said = self.only(f"toolbox: {{app: '{odd}'}}")
            self.assertIn("a module and a function, as in shop:make_app", said)
        for place in ("tbtwist", "toolboxv2", "shop:make_app", "größe.läden:app"):
            found = reading(f"toolbox: {{app: '{place}'}}").settings.toolbox
            self.assertEqual(found.app, place)

    def test_mounts(self) -> None:
        """A mount has a path and a place, each checked for itself."""
        said = self.only("toolbox: {wsgi_mounts: {shop: shop.wsgi, /b: shop.wsgi}}")
        self.assertIn("wsgi_mounts.shop: expected a path, which begins with /", said)
        said = self.only("toolbox: {wsgi_mounts: {/a: 'shop.wsgi:'}}")
        self.assertIn("wsgi_mounts./a: expected a module and a name in it", said)

    def only(self, text: str) -> str:
        """Return the one problem of a file."""
        error = self.assertRaises(ConfigError, reading, text)
        (problem,) = error.problems
        return str(problem)


class ProblemTests(SynchronousTestCase):
    """Every problem has a place, a key and what was expected."""

    def problems(self, text: str, **environ: str) -> list[str]:
        """Return the lines of the error that ``text`` causes."""
        error = self.assertRaises(ConfigError, reading, dedent(text), environ)
        return str(error).splitlines()

    def only(self, text: str, **environ: str) -> str:
        """Return the only problem of ``text``."""
        (problem,) = self.problems(text, **environ)
        return problem

    def test_all_at_once(self) -> None:
        """All problems are reported together: the file's in order, then variables'."""
        text = """\
            environment: prod
            http_worker:
              port: 99999
              hosts: x
            toolbox:
              default_required_level: 3
            """
        self.assertEqual(
            self.problems(text, TB_WS_PORT="abc"),
            [
                (
                    "c.yaml:1:14: environment: expected one of development, production, "
                    "tauri, not the text 'prod'"
                ),
                (
                    "c.yaml:3:9: http_worker.port: expected a whole number from 0 to "
                    "65535, not 99999"
                ),
                "c.yaml:4:3: http_worker.hosts: unknown key; did you mean host?",
                (
                    "c.yaml:6:27: toolbox.default_required_level: expected a whole number "
                    "from -1 to 2, not 3"
                ),
                (
                    "TB_WS_PORT: ws_worker.port: expected a whole number from 0 to 65535, "
                    "not 'abc'"
                ),
            ],
        )

    def test_types(self) -> None:
        """A value of the wrong kind is shown beside what was expected."""
        cases = {
            "debug: maybe": "expected true or false, not the text 'maybe'",
            "http_worker: {timeout: 0}": "expected a number greater than 0, not 0",
            "http_worker: {timeout: .inf}": "expected a number greater than 0, not .inf",
            "http_worker: {port: '80'}": "a whole number from 0 to 65535, not the text '80'",
            "http_worker: {port: 80.5}": "a whole number from 0 to 65535, not 80.5",
            "http_worker: {backlog: 9999999999999}": "expected a whole number from 1, not",
            "nginx: {server_name: 5}": "expected host names separated by spaces, not 5; put it in quotes",
            "toolbox: {api_prefix: [a]}": "expected text, not a list",
            "toolbox: {api_prefix: {a: b}}": "expected text, not a mapping",
            'nginx: {server_name: "a\\rb"}': "in one line, without control characters",
            "toolbox: {modules: shop}": "expected a list, not the text 'shop'",
            "toolbox: {level_requirements: 1}": "expected a mapping, not 1",
            "auth: {ws_require_auth: x}": "expected true or false, not the text 'x'",
            "ws_worker: 5": "ws_worker: expected keys below it, indented",
            "ws_worker: [a]": "ws_worker: expected keys below it, indented",
        }
        for text, expected in cases.items():
            self.assertIn(expected, self.only(text))

    def test_elements(self) -> None:
        """A wrong element of a list or mapping is named and found where it stands."""
        text = "toolbox:\n  modules: [a, 1]\n  level_requirements: {A.b: 7}\n"
        first, second = self.problems(text)
        self.assertTrue(first.startswith("c.yaml:2:16: toolbox.modules[1]: expected"))
        self.assertTrue(
            second.startswith("c.yaml:3:29: toolbox.level_requirements.A.b: expected")
        )

    def test_suggestions(self) -> None:
        """An unknown key comes with what may have been meant, also elsewhere."""
        cases = {
            "http_workers: {}": "; did you mean http_worker?",
            "ws_worker: {instence: 1}": "; did you mean instances?",
            "cookie_secret: x": "; did you mean session.cookie_secret?",
            "zzz: 1": ": unknown key",
        }
        for text, expected in cases.items():
            self.assertTrue(self.only(text).endswith(expected), self.only(text))

    def test_workers_and_instances_differ(self) -> None:
        """Both names with different values are refused at the second place."""
        problem = self.only("http_worker:\n  workers: 2\n  instances: 3\n")
        self.assertTrue(problem.startswith("c.yaml:3:14: http_worker.instances: "))
        self.assertIn("as in line 2", problem)

    def test_duplicate(self) -> None:
        """A key that stands twice is reported once, beside other problems."""
        problems = self.problems("debug: x\ndebug: true\n")
        self.assertEqual(len(problems), 2)

    def test_values_of_variables_are_not_shown(self) -> None:
        """What a placeholder brought in is named, not shown: it may be a secret."""
        problem = self.only("http_worker: {port: '${S}'}", S="hunter2")
        self.assertTrue(problem.endswith("not what ${S} gives"))

    def test_secrets_are_not_shown(self) -> None:
        """No message repeats a secret, however wrong its place or type."""
        for text in (
            "session: {cookie_secret: [hunter2]}\ndebug: x",
            "session: {cookie_secret: {a: hunter2}}",
            "session: {cookie_secret: 4711}",
            "cookie_secret: hunter2",
            "session:\n  cookie_secret: hunter2\n  cookie_secret: hunter2\n",
        ):
            shown = "\n".join(self.problems(text))
            self.assertNotIn("hunter2", shown)
            self.assertNotIn("4711", shown)

    def test_strange_characters(self) -> None:
        """A message is one printable line, whatever the file holds."""
        for text in (
            '"a\\nb": 1',
            '"\\ud800": 1',
            'debug: "\\x1b[31m"',
            f"{'k' * 500}: 1",
            'toolbox: {level_requirements: {"a\\nb": 9}}',
        ):
            problem = self.only(text)
            self.assertTrue(problem.isprintable(), problem)
            self.assertLess(len(problem), 200)


class VariableTests(SynchronousTestCase):
    """Wrong values in variables."""

    def test_names_the_variable(self) -> None:
        """The message begins with the variable."""
        for name, value in {
            "TB_ENV": "prod",
            "TB_DEBUG": "maybe",
            "TB_HTTP_PORT": "-1",
            "TB_HTTP_WORKERS": "many",
            "TOOLBOX_LOGGING_LEVEL": "LOUD",
        }.items():
            error = self.assertRaises(ConfigError, reading, None, {name: value})
            self.assertTrue(str(error).startswith(f"{name}: "), str(error))
            self.assertIn(f"not '{value}'", str(error))
