"""From a file and the environment to settings."""

from __future__ import annotations

from textwrap import dedent

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.schema import UNUSED, Settings
from tbtwist.errors import ConfigError
from tests.config.reading_cases import reading


def settings(text: str, **environ: str) -> Settings:
    """Return the settings of a file with ``text``."""
    return reading(dedent(text), environ).settings


class FileTests(SynchronousTestCase):
    """What stands in the file counts."""

    def test_values_of_every_kind(self) -> None:
        """Numbers, text, booleans, lists and mappings arrive typed."""
        found = settings("""
            debug: yes
            http_worker: {port: 8100, timeout: 5, trusted_proxies: [10.0.0.1, "::1"]}
            toolbox:
              level_requirements: {Shop.buy: 2, Shop: 0}
              open_modules: []
            """)
        self.assertIs(found.debug, True)
        self.assertEqual(found.http_worker.port, 8100)
        self.assertEqual(found.http_worker.timeout, 5.0)
        self.assertEqual(found.http_worker.trusted_proxies, ("10.0.0.1", "::1"))
        self.assertEqual(found.toolbox.level_requirements, {"Shop.buy": 2, "Shop": 0})

    def test_no_file(self) -> None:
        """Without a file everything has its default."""
        found = reading().settings
        self.assertEqual(found.http_worker.port, 8000)
        self.assertEqual(found.ws_worker.port, 8010)
        self.assertEqual(found.manager.web_ui_port, 9000)

    def test_empty_values(self) -> None:
        """An empty section or value means the defaults."""
        found = settings("http_worker:\nws_worker:\n  port:\n  workers: ~\n")
        self.assertEqual(found.ws_worker, Settings().ws_worker)

    def test_instances(self) -> None:
        """``instances`` is ``workers``; both may stand there if they agree."""
        found = settings("http_worker: {instances: 3}\nws_worker: {instances: 2}")
        self.assertEqual((found.http_worker.workers, found.ws_worker.workers), (3, 2))
        found = settings("http_worker: {instances: 3, workers: 3}")
        self.assertEqual(found.http_worker.workers, 3)

    def test_choices_in_any_case(self) -> None:
        """``info`` and ``Production`` are understood."""
        found = settings("environment: Production\nlog_level: warning\n")
        self.assertEqual(
            (found.environment, found.log_level), ("production", "WARNING")
        )

    def test_unused_keys(self) -> None:
        """Keys of ToolBoxV2 without effect are accepted, each with a warning."""
        for key in UNUSED:
            section, _, name = key.partition(".")
            found = reading(f"{section}:\n  {name}: whatever\n")
            self.assertEqual(
                found.warnings,
                (f"c.yaml:2:3: {key}: is accepted and has no effect",),
            )

    def test_secret_of_several_lines(self) -> None:
        """A secret is taken as it is, line breaks included."""
        found = settings('session: {cookie_secret: "a\\nb"}')
        self.assertEqual(found.session.cookie_secret, "a\nb")


class PlaceholderTests(SynchronousTestCase):
    """``${VAR}`` works in every kind of value."""

    def test_number(self) -> None:
        """A number may come from a variable or from its default, quoted or not."""
        text = "http_worker:\n  port: ${P:8100}\n  workers: '${W}'\n"
        found = settings(text, W="3")
        self.assertEqual((found.http_worker.port, found.http_worker.workers), (8100, 3))

    def test_boolean(self) -> None:
        """A boolean may be spelled as YAML or as people do: yes, 1, true."""
        for text, value in {"yes": True, "1": True, "false": False, "0": False}.items():
            self.assertIs(settings("debug: ${D}", D=text).debug, value)

    def test_text_stays_text(self) -> None:
        """A secret of digits is not taken for a number."""
        found = settings("session: {cookie_secret: '${S}'}", S="0123")
        self.assertEqual(found.session.cookie_secret, "0123")

    def test_list(self) -> None:
        """A list may come from a variable, with commas; elements may too."""
        text = "toolbox: {open_modules: '${M}', modules: ['${A}', b]}"
        found = settings(text, M="X, Y,", A="a")
        self.assertEqual(found.toolbox.open_modules, ("X", "Y"))
        self.assertEqual(found.toolbox.modules, ("a", "b"))

    def test_empty(self) -> None:
        """What comes out empty is the default."""
        found = settings("http_worker: {port: '${P}', host: '${H:}'}")
        self.assertEqual(found.http_worker, Settings().http_worker)


class ModeTests(SynchronousTestCase):
    """The mode decides some defaults."""

    def test_development(self) -> None:
        """Development is the default: debug, and cookies over plain HTTP."""
        found = reading().settings
        self.assertEqual(found.environment, "development")
        self.assertEqual((found.debug, found.log_level), (True, "DEBUG"))
        self.assertIs(found.cookie_secure, False)

    def test_production(self) -> None:
        """Production in the file counts: strict cookies, WebSockets with identity."""
        found = settings("environment: production")
        self.assertEqual((found.debug, found.log_level), (False, "INFO"))
        self.assertIs(found.session.cookie_secure, True)
        self.assertIs(found.auth.ws_require_auth, True)

    def test_desktop(self) -> None:
        """On the desktop there is one worker of each kind, on 8000 and 8001."""
        for environ in ({"TB_ENV": "tauri"}, {"TAURI_ENV": "true"}):
            found = reading(None, environ).settings
            self.assertEqual(found.environment, "tauri")
            self.assertEqual(found.http_worker.workers, 1)
            self.assertEqual(
                (found.http_worker.port, found.ws_worker.port), (8000, 8001)
            )

    def test_file_goes_before_mode(self) -> None:
        """What the file says goes before the mode's defaults."""
        found = settings("environment: production\nsession: {cookie_secure: no}\n")
        self.assertIs(found.cookie_secure, False)

    def test_variable_goes_before_file(self) -> None:
        """TB_ENV goes before ``environment`` in the file, and before TAURI_ENV."""
        found = settings("environment: tauri", TB_ENV="production", TAURI_ENV="true")
        self.assertEqual(found.environment, "production")
        self.assertEqual(found.ws_worker.port, 8010)


class PathTests(SynchronousTestCase):
    """Folders."""

    def test_relative_to_the_file(self) -> None:
        """A relative folder in the file is relative to the file."""
        found = settings("data_dir: data\nhttp_worker: {static_root: ./dist}\n")
        self.assertEqual(found.data_dir, "/srv/site/data")
        self.assertEqual(found.http_worker.static_root, "/srv/site/dist")

    def test_relative_in_a_variable(self) -> None:
        """A relative folder in a variable is relative to the working directory."""
        found = settings("data_dir: x", TB_DATA_DIR="data", TB_STATIC_ROOT="dist")
        self.assertEqual(found.data_dir, "/srv/here/data")
        self.assertEqual(found.nginx.static_root, "/srv/here/dist")
        self.assertEqual(found.http_worker.static_root, "/srv/here/dist")

    def test_home(self) -> None:
        """``~`` is the home folder."""
        self.assertEqual(settings("data_dir: ~/tb").data_dir, "/home/ada/tb")
        self.assertEqual(settings("data_dir: '~'").data_dir, "/home/ada")

    def test_somebody_elses_home(self) -> None:
        """``~bob`` is refused and not a folder of that name."""
        error = self.assertRaises(ConfigError, settings, "data_dir: ~bob/x")
        self.assertIn("c.yaml:1:11: data_dir: expected ~/", str(error))

    def test_defaults(self) -> None:
        """The data directory is ~/.tbtwist; no static root stays none."""
        found = reading().settings
        self.assertEqual(found.data_dir, "/home/ada/.tbtwist")
        self.assertEqual(found.http_worker.static_root, "")
        found = settings('data_dir: ""\nnginx: {static_root: ""}\n')
        self.assertEqual(found.data_dir, "/home/ada/.tbtwist")
        self.assertEqual(found.nginx.static_root, "")


class OriginTests(SynchronousTestCase):
    """Where each value came from."""

    def test_origins(self) -> None:
        """File, variable, mode and default can be told apart."""
        text = "http_worker:\n  port: 8100\n"
        origins = reading(text, {"TB_WS_PORT": "8200"}).origins
        self.assertEqual(origins["http_worker.port"], "c.yaml:2:9")
        self.assertEqual(origins["ws_worker.port"], "TB_WS_PORT")
        self.assertEqual(origins["debug"], "default for development")
        self.assertEqual(origins["http_worker.host"], "default")
