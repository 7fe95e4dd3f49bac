"""What ``python -m benchmarks http`` counts and compares; nothing is timed here."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Coroutine, Mapping
from contextlib import redirect_stderr
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from benchmarks import api_calls, http_peers
from benchmarks.api_calls import CALL, EXPECTED, Round
from benchmarks.drivers.http_clients import Client, Crowd
from benchmarks.pacing import AnswerReader, Load, Pace
from benchmarks.peers.asgi_app import Application, from_environ
from benchmarks.programs import Program, Server, free_ports
from benchmarks.system import SECRET, cookie

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello"


class PaceTests(SynchronousTestCase):
    """The load is constant, whatever the server does."""

    def test_requests_are_due_at_even_distances(self) -> None:
        """Four a second: one every quarter of a second, and then no more."""
        pace = Pace(rate=4, total=3, began=10)
        self.assertEqual(pace.take(10.0), 10.0)
        self.assertIsNone(pace.take(10.1))
        self.assertEqual(pace.next_at, 10.25)
        self.assertEqual([pace.take(11.0), pace.take(11.0)], [10.25, 10.5])
        self.assertIsNone(pace.next_at)
        self.assertIsNone(pace.take(99.0))

    def test_waiting_for_a_connection_counts(self) -> None:
        """A request that was due during a stall is as late as the stall made it."""
        pace = Pace(rate=1000, total=2, began=0)
        for _ in range(2):
            due_at = pace.take(5.0)
            assert due_at is not None
            pace.answered(due_at, 5.0)
        self.assertEqual(pace.took_ms, [5000.0, 4999.0])

    def test_it_is_over_when_all_have_been_answered(self) -> None:
        """Not when all have been sent."""
        pace = Pace(rate=1, total=1, began=0)
        due_at = pace.take(0)
        self.assertFalse(pace.over)
        pace.answered(due_at or 0, 1)
        self.assertTrue(pace.over)


class AnswerReaderTests(SynchronousTestCase):
    """Answers are read as they come."""

    @given(st.lists(st.integers(0, len(ANSWER)), max_size=5))
    def test_an_answer_may_come_in_pieces(self, cuts: list[int]) -> None:
        """It is complete with its last byte, and not before."""
        reader = AnswerReader()
        marks = [0, *sorted(cuts), len(ANSWER)]
        pieces = [ANSWER[a:b] for a, b in pairwise(marks) if a != b]
        got = [reader.feed(piece) for piece in pieces]
        self.assertEqual(got[:-1], [None] * (len(pieces) - 1))
        self.assertEqual(got[-1], (200, b"hello"))

    def test_one_answer_follows_another(self) -> None:
        """Nothing of the first remains."""
        reader = AnswerReader()
        self.assertEqual(
            [reader.feed(ANSWER), reader.feed(ANSWER)], [(200, b"hello")] * 2
        )

    def test_the_last_header_may_be_the_length(self) -> None:
        """In any spelling."""
        answer = b"HTTP/1.1 404 No\r\ncontent-length:0\r\n\r\n"
        self.assertEqual(AnswerReader().feed(answer), (404, b""))

    def test_something_else_is_an_error(self) -> None:
        """An answer of unknown length would be measured wrongly."""
        for head in (b"HTTP/1.1 200 OK\r\n\r\n", b"SSH\r\nContent-Length: 1\r\n\r\n"):
            self.assertRaises(ValueError, AnswerReader().feed, head)


def load(expected: str) -> Load:
    """Return a load whose answers have ``expected`` in them."""
    return Load(
        port=1, path="/x", cookie="a=b", expected=expected, connections=1, rate=1,
        seconds=1,
    )  # fmt: skip


class CrowdTests(SynchronousTestCase):
    """The clients send, receive and check."""

    def clients(self, answers: list[bytes]) -> list[Client]:
        """Return clients whose servers have answered already."""
        clients = []
        for answer in answers:
            ours, theirs = socket.socketpair()
            self.addCleanup(ours.close)
            self.addCleanup(theirs.close)
            theirs.sendall(answer)
            clients.append(Client(ours))
        return clients

    def test_every_client_gets_its_answer(self) -> None:
        """And its request is on the way."""
        clients = self.clients([ANSWER, ANSWER])
        pace = Pace(rate=1e6, total=2, began=0)
        Crowd(clients, load("hello")).run(pace)
        self.assertEqual(len(pace.took_ms), 2)

    def test_the_request_has_the_cookie(self) -> None:
        """And ends with an empty line."""
        lines = load("").request.split(b"\r\n")
        self.assertEqual(lines[0], b"GET /x HTTP/1.1")
        self.assertEqual(lines[2:], [b"Cookie: a=b", b"", b""])

    def test_a_wrong_answer_ends_it(self) -> None:
        """Also one of a good status: nobody is fast with something else."""
        for answer, expected in ((ANSWER, "Hi"), (b"HTTP/1.1 500" + ANSWER[12:], "")):
            crowd = Crowd(self.clients([answer]), load(expected))
            with self.assertRaisesRegex(ConnectionError, "answered"):
                crowd.run(Pace(rate=1e6, total=1, began=0))

    def test_a_connection_that_closes_ends_it(self) -> None:
        """A server that drops clients is not measured as if it did not."""
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        theirs.close()
        crowd = Crowd([Client(ours)], load(""))
        with self.assertRaises(OSError):
            crowd.run(Pace(rate=1e6, total=1, began=0))


class PeersTests(SynchronousTestCase):
    """Who is not there is left out, with a sentence."""

    def test_toolboxv2_needs_a_python_of_its_own(self) -> None:
        """Where none is named, the others are measured."""
        with redirect_stderr(StringIO()) as said:
            names = http_peers.present({})
        self.assertNotIn("toolboxv2", names)
        self.assertIn(http_peers.TOOLBOX_PYTHON, said.getvalue())

    def test_toolboxv2_runs_in_the_python_that_is_named(self) -> None:
        """All others in ours."""
        environ = {http_peers.TOOLBOX_PYTHON: "/elsewhere/python"}
        pythons = {
            name: peer.python(environ) for name, peer in http_peers.PEERS.items()
        }
        self.assertEqual(pythons.pop("toolboxv2"), "/elsewhere/python")
        self.assertEqual(set(pythons.values()), {sys.executable})

    def test_a_package_that_is_not_installed_is_named(self) -> None:
        """So that one knows what to install."""
        peer = http_peers.Peer("x", "no_such_package_here", ())
        self.assertIn("no_such_package_here", peer.missing({}))
        self.assertEqual(http_peers.Peer("x", "json", ()).missing({}), "")

    def test_free_ports_differ(self) -> None:
        """And can be bound."""
        ports = free_ports(3)
        self.assertEqual(len(set(ports)), 3)


class AsgiAppTests(SynchronousTestCase):
    """The bare application answers as the others do."""

    def application(self) -> Application:
        """Return it, configured by the environment."""
        data_dir = self.mktemp()
        Path(data_dir).mkdir()
        for name, value in (
            ("TB_COOKIE_SECRET", SECRET),
            ("TB_DATA_DIR", data_dir),
            ("TB_CONFIG", os.devnull),
        ):
            before = os.environ.get(name)
            os.environ[name] = value
            self.addCleanup(_restore, name, before)
        return from_environ()

    def ask(self, path: str, sent: str = "") -> tuple[int, bytes]:
        """Return status and body."""
        messages: list[Mapping[str, Any]] = []

        async def send(message: Mapping[str, Any]) -> None:
            messages.append(message)

        async def receive() -> Mapping[str, Any]:
            raise AssertionError("there is no body")

        scope = {
            "path": path,
            "query_string": b"name=Ada",
            "headers": [(b"host", b"x"), (b"cookie", sent.encode())],
        }
        _at_once(self.application()(scope, receive, send))
        head, body = messages
        self.assertEqual(
            dict(head["headers"])[b"content-length"], b"%d" % len(body["body"])
        )
        return int(head["status"]), bytes(body["body"])

    def test_it_greets_whom_the_cookie_names(self) -> None:
        """With the envelope that a worker sends."""
        status, body = self.ask(CALL, cookie())
        self.assertEqual(status, 200)
        self.assertIn(EXPECTED.encode(), body)
        self.assertEqual(json.loads(body)["origin"], ["Bench", "greet", "tb"])

    def test_nobody_is_not_greeted(self) -> None:
        """Neither without a cookie nor with one that somebody else signed."""
        self.assertEqual(self.ask(CALL)[0], 401)
        self.assertEqual(self.ask(CALL, cookie()[:-8] + "AAAAAAAA")[0], 401)

    def test_there_is_nothing_else(self) -> None:
        """One path, since all others would be something different."""
        self.assertEqual(self.ask("/", cookie())[0], 404)


class FiguresTests(SynchronousTestCase):
    """Our lanes stand beside every peer that was there."""

    ours = Round(per_second=4, cpu_us=1, p50_ms=1, p99_ms=1)
    theirs = Round(per_second=2, cpu_us=2, p50_ms=2, p99_ms=2)

    def figures(self, *peers: str) -> list[tuple[str, str]]:
        """Return which figures are made, and see that all say that we are ahead."""
        rounds = {lane: [self.ours] for lane in ("auto", "wsgi", "unlogged")}
        rounds |= {peer: [self.theirs] for peer in peers}
        made = api_calls.figures(rounds, 500)
        self.assertEqual({each.ratio for each in made}, {2})
        return [(each.name, each.peer_name) for each in made]

    def test_each_lane_has_four_figures_for_each_peer(self) -> None:
        """A peer with an access log stands beside lanes that have one."""
        made = self.figures("granian")
        self.assertEqual(len(made), 8)
        self.assertIn(("API call, p99 at 500/s, WSGI lane", "granian, same WSGI app"), made)  # fmt: skip

    def test_without_an_access_log_there_are_more(self) -> None:
        """A peer without stands beside our lane without, too."""
        made = self.figures("waitress")
        self.assertEqual(len(made), 12)
        self.assertEqual(sum("no access log" in name for name, _ in made), 4)

    def test_a_log_is_counted_by_its_calls(self) -> None:
        """Whatever else a server writes there."""
        log = Path(self.mktemp())
        log.write_text(f'started\n"GET {CALL}?name=Ada" 200\n"GET /ready" 200\n')
        server = Server(_program(self, log), 1, log)
        self.assertTrue(api_calls.has_logged(server, 1))
        self.assertFalse(api_calls.has_logged(server, 2))


class FamilyTests(SynchronousTestCase):
    """A server is all its processes."""

    def test_children_belong_to_it_and_end_with_it(self) -> None:
        """What a master leaves behind is ended too."""
        log = Path(self.mktemp())
        log.touch()
        program = _program(self, log)
        assert program.process.stdout is not None
        child = int(program.process.stdout.readline())
        self.assertEqual([each.pid for each in program.family()], [program.pid, child])
        program.end()
        self.assertFalse(psutil.pid_exists(child))


_MASTER = """
import subprocess, sys
child = [sys.executable, "-c", "import signal; signal.pause()"]
print(subprocess.Popen(child).pid, flush=True)
input()
"""


def _program(test: SynchronousTestCase, log: Path) -> Program:
    process = subprocess.Popen(
        [sys.executable, "-c", _MASTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    program = Program("master", process, log)
    test.addCleanup(program.end)
    return program


def _at_once(work: Coroutine[Any, Any, None]) -> None:
    """Run what waits for nothing."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits for something")


def _restore(name: str, value: str | None) -> None:
    if value is None:
        del os.environ[name]
    else:
        os.environ[name] = value
