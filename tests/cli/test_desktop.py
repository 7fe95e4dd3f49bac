"""``desktop``."""

from __future__ import annotations

from tests.cli.worlds import CliTestCase


class DesktopTests(CliTestCase):
    """It becomes the process that has everything inside."""

    def became(self, *arguments: str) -> tuple[str, ...]:
        """Run the verb; return what this process would have turned into."""
        self.assertEqual("", self.succeed("desktop", *arguments))
        ((_, _, _, *command),) = self.world.became
        return tuple(command)

    def test_defaults(self) -> None:
        """Everything in the foreground, in the mode of the desktop."""
        self.assertEqual(("-n", "tbworkers", "--role=all"), self.became())
        self.assertEqual("tauri", self.world.environ["TB_ENV"])
        self.assertNotIn("TB_HTTP_PORT", self.world.environ)

    def test_ports_and_file(self) -> None:
        """Ports go before the file's; the file and -v are handed on."""
        path = self.write_config("http_worker: {port: 1, workers: 9}")
        command = self.became("-v", "--http-port=0", "--ws-port=81", "--mode=tauri")
        self.assertEqual(("--verbose", "--config", str(path)), command[3:])
        environ = self.world.environ
        self.assertEqual(("0", "81"), (environ["TB_HTTP_PORT"], environ["TB_WS_PORT"]))

    def test_wrong_file(self) -> None:
        """A mistake in the file is told before anything starts."""
        self.write_config("debug: x")
        self.assertIn("config.yaml:1:8: debug", self.fail_with(1, "desktop"))
        self.assertEqual([], self.world.became)
