"""``logs``."""

from __future__ import annotations

import json

from typing_extensions import override

from tests.cli.worlds import CliTestCase


class LogsTests(CliTestCase):
    """What workers have logged, and log."""

    @override
    def setUp(self) -> None:
        """Have two logs."""
        super().setUp()
        self.write_config("data_dir: d", "tb.yaml")
        self.world.environ = {"TB_CONFIG": str(self.world.cwd / "tb.yaml")}
        self.folder = self.world.cwd / "d" / "logs"
        self.folder.mkdir(parents=True)
        self.log("http-1", "2026-11-24T08:00:01Z info one")
        self.log("ws-12", "2026-11-24T08:00:00Z info two")

    def log(self, worker: str, line: str) -> None:
        """Let a worker say something."""
        with (self.folder / f"{worker}.log").open("a") as file:
            file.write(line + "\n")

    def test_all(self) -> None:
        """All of them, in the order of time, each with its worker."""
        self.assertEqual(
            self.succeed("logs"),
            "ws-12  | 2026-11-24T08:00:00Z info two\n"
            "http-1 | 2026-11-24T08:00:01Z info one\n",
        )

    def test_one(self) -> None:
        """One alone needs no name."""
        self.assertEqual(
            self.succeed("logs", "-w", "http-1"), "2026-11-24T08:00:01Z info one\n"
        )

    def test_lines(self) -> None:
        """As many as asked for."""
        self.log("http-1", "2026-11-24T08:00:02Z info three")
        said = self.succeed("logs", "-w", "http-1", "-n", "1")
        self.assertEqual(said, "2026-11-24T08:00:02Z info three\n")

    def test_follow(self) -> None:
        """What comes later is shown until Ctrl-C."""
        looks = iter((lambda: self.log("http-1", "more"), lambda: None))

        def pause(_seconds: float) -> None:
            look = next(looks, None)
            if look is None:
                raise KeyboardInterrupt
            look()

        self.patch(self.world, "pause", pause)
        said = self.succeed("logs", "-f", "-n", "0")
        self.assertEqual(said, "http-1 | more\n")

    def test_follow_newcomers(self) -> None:
        """A worker that begins to log later is followed, too."""
        looks = iter((lambda: self.log("http-2", "hello"), lambda: None))

        def pause(_seconds: float) -> None:
            look = next(looks, None)
            if look is None:
                raise KeyboardInterrupt
            look()

        self.patch(self.world, "pause", pause)
        self.assertEqual(self.succeed("logs", "-f", "-n", "1").count("http-2"), 1)

    def test_json_log(self) -> None:
        """Records in JSON are shown as text, with their tracebacks."""
        record = {"time": "2026-11-24T08:00:02.000Z", "level": "error", "logger": "x"}
        record |= {"message": "oh", "traceback": "Trace:\n  File\nValueError\n"}
        self.log("ws-12", json.dumps(record))
        said = self.succeed("logs", "-w", "ws-12", "-n", "1")
        self.assertEqual(
            said,
            "2026-11-24T08:00:02.000Z error [x] oh\nTrace:\n  File\nValueError\n",
        )

    def test_json(self) -> None:
        """For programs: a record is an object, its traceback in it, and its worker."""
        self.log("http-1", "2026-11-24T08:00:02.000Z error [x.y] oh\nTrace:\n  File")
        self.log("ws-12", '{"time":"2026-11-24T08:00:03.000Z","worker":"ws-12"}')
        lines = self.succeed("logs", "--json").splitlines()
        records = [json.loads(line) for line in lines]
        self.assertEqual(
            [each["worker"] for each in records], ["ws-12", "http-1", "http-1", "ws-12"]
        )
        self.assertEqual(
            records[2],
            {
                "time": "2026-11-24T08:00:02.000Z",
                "level": "error",
                "logger": "x.y",
                "worker": "http-1",
                "message": "oh\nTrace:\n  File",
            },
        )

    def test_unknown(self) -> None:
        """Whoever asks for nobody learns who there is."""
        said = self.fail_with(1, "logs", "-w", "http-9")
        self.assertIn("there are: http-1, ws-12", said)
