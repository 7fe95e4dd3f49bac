"""``nginx-config`` and ``nginx-reload``, with a program that plays nginx."""

from __future__ import annotations

from tbtwist.status import WorkerStatus
from tests.cli.worlds import CliTestCase, FakeManager, status, worker

_NGINX = """\
#!/bin/sh
echo "$@" >> {folder}/asked
case "$1" in
  -v) echo "nginx version: nginx/1.22.1" >&2 ;;
  -T) echo "# configuration file {folder}/site.conf:"
      [ ! -e {folder}/refuse ] || {{ echo "nginx: [emerg] no way" >&2; exit 1; }} ;;
  -s) [ -e {folder}/running ] || {{ echo 'nginx: [error] invalid PID number ""' >&2; exit 1; }} ;;
esac
"""
_CONFIG = "http_worker: {trusted_proxies: [127.0.0.1]}\n"


class NginxTestCase(CliTestCase):
    """An nginx of our own."""

    def setUp(self) -> None:
        """Write it."""
        super().setUp()
        self.folder = self.world.folder
        program = self.folder / "nginx"
        program.write_text(_NGINX.format(folder=self.folder))
        program.chmod(0o755)
        self.world.environ = {"NGINX_PATH": str(program)}
        self.write_config(_CONFIG)
        self.site = self.folder / "site.conf"


class ConfigTests(NginxTestCase):
    """``nginx-config``."""

    def test_prints(self) -> None:
        """Without a manager it is the configured workers' site."""
        said = self.succeed("nginx-config")
        self.assertIn("server 127.0.0.1:8001 ", said)
        self.assertNotIn("127.0.0.1:8002", said)
        self.assertIn("server 127.0.0.1:8010 ", said)

    def test_running_workers(self) -> None:
        """With one it is that of the workers that run."""
        found = WorkerStatus(
            id="http-3", role="http", state="running", generation=1, port=8002
        )
        self.world.manager = FakeManager(status(worker("http-1"), found))
        said = self.succeed("nginx-config")
        self.assertIn("server 127.0.0.1:8002 ", said)
        self.assertNotIn("127.0.0.1:8001", said)
        self.assertNotIn("/ws/", said)

    def test_warning(self) -> None:
        """Workers that would take nginx for everybody are warned of."""
        self.write_config("")
        result = self.run_verb("nginx-config")
        self.assertEqual(0, result.exit_code)
        self.assertIn("Warning: http_worker.trusted_proxies", result.stderr)
        self.assertTrue(result.stdout.startswith("# tbtwist behind nginx"))

    def test_refused_setting(self) -> None:
        """A setting that could break out is refused, with its place and key."""
        self.write_config('nginx: {server_name: "a; root /"}')
        said = self.fail_with(1, "nginx-config")
        self.assertTrue(
            said.startswith("config.yaml:1:22: nginx.server_name: expected")
        )

    def test_unknown_ports(self) -> None:
        """Ports that nobody knows yet are asked for."""
        self.write_config("http_worker: {port: 0}")
        self.assertIn("http_worker.port", self.fail_with(1, "nginx-config"))

    def test_without_nginx(self) -> None:
        """The site can be printed where there is no nginx, and not installed."""
        self.world.environ = {"NGINX_PATH": "/no/such/nginx"}
        self.assertIn("server ", self.succeed("nginx-config"))
        said = self.fail_with(1, "nginx-config", "--write", str(self.site))
        self.assertIn("no nginx here", said)
        self.assertFalse(self.site.exists())


class WriteTests(NginxTestCase):
    """``nginx-config --write``."""

    def test_path(self) -> None:
        """It is written there, and what to do next is told."""
        said = self.succeed("nginx-config", "--write", "site.conf")
        self.assertEqual(self.succeed("nginx-config"), self.site.read_text())
        self.assertIn(f"Wrote {self.site}", said)
        self.assertIn("tbtwist nginx-reload", said)

    def test_configured_path_and_link(self) -> None:
        """Without a path ``nginx.config_path`` counts, and ``symlink_path`` enables it."""
        more = "nginx: {config_path: site.conf, symlink_path: enabled}\n"
        self.write_config(_CONFIG + more)
        said = self.succeed("nginx-config", "--write")
        self.assertIn(f"enabled by {self.folder / 'enabled'}", said)
        self.assertEqual(self.site, (self.folder / "enabled").readlink())

    def test_refused(self) -> None:
        """If nginx refuses, the old site is back and the reason is told."""
        self.site.write_text("old")
        (self.folder / "refuse").touch()
        said = self.fail_with(1, "nginx-config", "--write", "site.conf")
        self.assertEqual("nginx refuses its configuration: no way\n", said)
        self.assertEqual("old", self.site.read_text())

    def test_not_included(self) -> None:
        """A place where nginx does not look is a failure that says what is missing."""
        result = self.run_verb("nginx-config", "--write", "other.conf")
        self.assertEqual(1, result.exit_code)
        self.assertIn(f"needs: include {self.folder / 'other.conf'};", result.stderr)


class ReloadTests(NginxTestCase):
    """``nginx-reload``."""

    def test_checks_first(self) -> None:
        """The configuration is checked, then nginx reads it."""
        (self.folder / "running").touch()
        self.assertIn("again", self.succeed("nginx-reload"))
        asked = (self.folder / "asked").read_text().splitlines()
        self.assertEqual(["-T", "-s reload"], asked)

    def test_refused(self) -> None:
        """A configuration that is wrong is not loaded."""
        (self.folder / "refuse").touch()
        self.assertIn("no way", self.fail_with(1, "nginx-reload"))
        self.assertEqual("-T\n", (self.folder / "asked").read_text())

    def test_not_running(self) -> None:
        """Nothing to reload is a failure with a sentence."""
        self.assertIn("nginx is not running", self.fail_with(1, "nginx-reload"))
