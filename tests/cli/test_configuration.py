"""``config`` and ``session``."""

from __future__ import annotations

import json

import yaml
from click.testing import CliRunner

from tbtwist.auth.cookie import SessionCookies
from tbtwist.auth.ledger import FILE_NAME, Ledger, RevocationFile
from tbtwist.auth.session import authenticated_session
from tbtwist.auth.signing import Signer
from tbtwist.cli.root import tbtwist
from tbtwist.config.reference import markdown, template
from tbtwist.config.schema import Session
from tests.cli.worlds import NOW, CliTestCase


class GenerateTests(CliTestCase):
    """``config generate``."""

    def test_stdout(self) -> None:
        """Without -o it prints: the template, or the reference page."""
        self.assertEqual(self.succeed("config", "generate"), template())
        page = self.succeed("config", "generate", "--as", "markdown")
        self.assertEqual(page, markdown())

    def test_file(self) -> None:
        """With -o it writes a file that is then found and fine."""
        said = self.succeed("config", "generate", "-o", "config.yaml")
        self.assertEqual(said, "Wrote config.yaml.\n")
        self.assertIn("config.yaml: fine.", self.succeed("config", "validate"))

    def test_never_overwrites(self) -> None:
        """A file that is there stays, unless --force is given."""
        path = self.write_config("debug: true\n")
        said = self.fail_with(1, "config", "generate", "-o", "config.yaml")
        self.assertEqual(said, "config.yaml exists already; --force overwrites it.\n")
        self.assertEqual(path.read_text(), "debug: true\n")
        self.succeed("config", "generate", "-o", "config.yaml", "--force")
        self.assertEqual(path.read_text(), template())

    def test_impossible_place(self) -> None:
        """A place where no file can be written is told in a sentence."""
        said = self.fail_with(1, "config", "generate", "-o", "nowhere/config.yaml")
        self.assertTrue(said.endswith("config.yaml: No such file or directory.\n"))


class ValidateTests(CliTestCase):
    """``config validate``."""

    def test_fine(self) -> None:
        """A good file is summed up: the mode, and who listens where."""
        path = self.write_config("environment: production\nws_worker: {workers: 3}\n")
        self.world.environ = {"TB_COOKIE_SECRET": "s" * 64}
        self.assertEqual(
            self.succeed("config", "validate"),
            f"{path}: fine. Production mode; http-1 to http-2 on 8000-8001, "
            "ws-1 to ws-3 on 8010-8012, the manager's web UI on 9000.\n",
        )
        self.assertFalse(self.data_dir.exists())

    def test_secrets(self) -> None:
        """What production would refuse to start with is not fine."""
        self.world.environ = {"TB_ENV": "production"}
        for secret in ("", "too short"):
            self.world.environ = {"TB_ENV": "production", "TB_COOKIE_SECRET": secret}
            said = self.fail_with(1, "config", "validate")
            self.assertIn("session secret cannot be used", said)
            self.assertIn("64", said)
        self.world.environ = {"TB_JWT_SECRET": "too short"}
        self.assertIn("TB_JWT_SECRET", self.fail_with(1, "config", "validate"))
        self.assertFalse(self.data_dir.exists())

    def test_no_file(self) -> None:
        """Without a file the defaults are checked, with the variables."""
        said = self.succeed("config", "validate")
        self.assertTrue(said.startswith("No file, so the defaults: fine. Development"))
        self.world.environ = {"TB_HTTP_PORT": "x"}
        said = self.fail_with(1, "config", "validate")
        self.assertTrue(said.startswith("TB_HTTP_PORT: http_worker.port: expected"))

    def test_all_problems(self) -> None:
        """Every problem is a line of its own."""
        self.write_config("debug: x\nhttp_worker: {prt: 1}\n", "b.yaml")
        said = self.fail_with(1, "config", "validate", "-c", "b.yaml").splitlines()
        self.assertEqual(len(said), 2)
        self.assertTrue(said[0].startswith("b.yaml:1:8: debug: "))
        self.assertTrue(said[1].endswith("unknown key; did you mean port?"))

    def test_warnings(self) -> None:
        """Warnings do not make it fail."""
        self.write_config("auth: {jwt_expiry: 5}")
        result = self.run_verb("config", "validate")
        self.assertEqual(result.exit_code, 0)
        self.assertIn("Warning: config.yaml:1:8: auth.jwt_expiry: ", result.stderr)

    def test_missing_file(self) -> None:
        """A file that is not there is told."""
        said = self.fail_with(1, "config", "validate", "-c", "nope.yaml")
        self.assertIn("nope.yaml cannot be read: no such file", said)


class ShowTests(CliTestCase):
    """``config show``."""

    def test_effective_values(self) -> None:
        """It prints YAML of what is in effect, without secrets."""
        self.write_config("http_worker: {port: 8100}")
        self.world.environ = {"TB_COOKIE_SECRET": "hunter2"}
        said = self.succeed("config", "show")
        self.assertNotIn("hunter2", said)
        found = yaml.safe_load(said)
        self.assertEqual(found["http_worker"]["port"], 8100)
        self.assertEqual(found["session"]["cookie_secret"], "********")
        self.assertEqual(found["data_dir"], str(self.data_dir))

    def test_origin(self) -> None:
        """``--origin`` adds where each value comes from."""
        self.write_config("http_worker: {port: 8100}")
        said = self.succeed("config", "show", "--origin")
        self.assertIn("  port: 8100  # config.yaml:1:21\n", said)
        self.assertIn("debug: true  # default for development\n", said)


class SessionTests(CliTestCase):
    """``session generate-secret``."""

    def test_long_enough_and_new(self) -> None:
        """It prints a new secret each time, long enough for production."""
        first = self.succeed("session", "generate-secret")
        self.assertRegex(first, r"^[0-9a-f]{64,}\n$")
        self.assertNotEqual(self.succeed("session", "generate-secret"), first)


class InspectTests(CliTestCase):
    """``session inspect``."""

    def setUp(self) -> None:
        """Have a secret."""
        super().setUp()
        self.world.environ = {"TB_COOKIE_SECRET": "s" * 64}

    def cookie(self, secret: str = "s" * 64, age_s: float = 0) -> str:
        """Return the value of a cookie that was set some time ago."""
        cookies = SessionCookies(Signer([secret.encode()]), Session(), secure=False)
        session = authenticated_session(
            "u1", "Ada", level=1, exp=NOW - age_s + 3600, random=bytes
        )
        self.session_id = session.session_id
        header = cookies.set_cookie(session, NOW - age_s)
        return header.partition(";")[0].partition("=")[2]

    def inspect(self, code: int, *arguments: str) -> str:
        """Run it and return what it said."""
        result = self.run_verb("session", "inspect", *arguments)
        self.assertEqual((code, ""), (result.exit_code, result.stderr), result.output)
        return result.stdout

    def test_good(self) -> None:
        """A good one is shown, by its value or with its name."""
        for given in (self.cookie(), f"tb_session={self.cookie()}"):
            said = self.inspect(0, given)
            self.assertRegex(said, "user_name +Ada")
            self.assertRegex(said, r"exp +2026-11-24 07:40:00\+00:00")
            self.assertTrue(said.endswith("It counts.\n"))
        self.assertFalse(self.data_dir.exists())

    def test_json(self) -> None:
        """Scripts get JSON."""
        found = json.loads(self.inspect(0, "--json", self.cookie()))
        self.assertEqual((True, None), (found["counts"], found["problem"]))
        self.assertEqual(1, found["session"]["level"])

    def test_from_the_input(self) -> None:
        """With - it does not show in the list of processes."""
        runner = CliRunner()
        arguments = ("session", "inspect", "-")
        result = runner.invoke(tbtwist, arguments, input=self.cookie(), obj=self.world)
        self.assertIn("It counts.", result.stdout)

    def test_bad_ones(self) -> None:
        """One that does not count is shown with the reason, and the exit code is 1."""
        cases = {
            self.cookie("x" * 64): "not signed with our secret",
            self.cookie(age_s=3601): "it has expired",
            "nonsense": "no session cookie",
        }
        for cookie, reason in cases.items():
            self.assertIn(reason, self.inspect(1, cookie))

    def test_revoked(self) -> None:
        """One that was logged out is told so."""
        cookie = self.cookie()
        self.data_dir.mkdir(parents=True)
        ledger = Ledger(RevocationFile(self.data_dir / FILE_NAME, bytes), lambda: NOW)
        found = SessionCookies(Signer([b"s" * 64]), Session(), secure=False)
        session = found.read_value(cookie, NOW)
        assert session is not None
        record = ledger.end(session)
        assert record is not None
        ledger.keep(record)
        self.assertIn("revoked by a logout", self.inspect(1, cookie))

    def test_no_secret_yet(self) -> None:
        """Looking into a cookie makes no secret."""
        self.world.environ = {}
        self.assertIn("not signed with our secret", self.inspect(1, self.cookie()))
        self.assertFalse(self.data_dir.exists())
