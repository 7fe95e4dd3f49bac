"""The pure parts of the benchmarks; nothing is timed here."""

from __future__ import annotations

import asyncio
import json
import socket

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from benchmarks import bus, frames, sockets, wrk
from benchmarks.drivers.flow import STEP, WINDOW, Flow
from benchmarks.measures import Better, Figure, number, percentile, shown, table
from benchmarks.programs import Cores, listen, trampoline

WRK = """\
Running 2s test @ http://127.0.0.1:1/
  1 threads and 32 connections
  Latency Distribution
     50%  850.00us
     75%    7.00ms
     90%   20.00ms
     99%    1.20s
  4321 requests in 2.01s, 1.00MB read
Requests/sec:   2149.75
Transfer/sec:    500.00KB
"""


def figure(
    ours: tuple[float, ...], peer: tuple[float, ...], *, less: bool = False
) -> Figure:
    """Return a figure with these values."""
    better: Better = "less" if less else "more"
    return Figure(
        part="x", name="speed", unit="1/s", better=better, peer_name="them",
        ours=ours, peer=peer,
    )  # fmt: skip


class MeasuresTests(SynchronousTestCase):
    """Figures mean what they say."""

    def test_percentiles_are_values_that_were_measured(self) -> None:
        """The 50th of a hundred is the fiftieth, the 99th the one before the last."""
        values = [float(value) for value in range(100, 0, -1)]
        self.assertEqual(percentile(values, 50), 50)
        self.assertEqual(percentile(values, 99), 99)
        self.assertEqual(percentile([7.0], 99), 7)

    def test_nothing_measured_is_an_error(self) -> None:
        """No figure is made of nothing."""
        self.assertRaises(ValueError, percentile, [], 50)

    def test_a_ratio_above_one_is_always_good(self) -> None:
        """Twice as many, or half the time: both are 2."""
        self.assertEqual(figure((10, 20, 90), (10, 10, 10)).ratio, 2)
        self.assertEqual(figure((5,), (10,), less=True).ratio, 2)

    def test_a_peer_that_did_nothing_is_infinitely_slower(self) -> None:
        """A division by zero does not end the report."""
        self.assertEqual(figure((5,), (0,)).ratio, float("inf"))

    def test_values_are_short(self) -> None:
        """People see about three digits, and the range of several rounds."""
        shorts = [number(value) for value in (12345.6, 42.42, 0.123)]
        self.assertEqual(shorts, ["12,346", "42.4", "0.12"])
        self.assertEqual(shown((3.0, 1.0, 2.0)), "2.00 (1.00-3.00)")
        self.assertEqual(shown((3.0,)), "3.00")

    def test_the_table_is_markdown_of_even_width(self) -> None:
        """Every line has the same length, and the ratio in the end."""
        lines = table([figure((10,), (5,)), figure((1,), (50000,))]).splitlines()
        self.assertEqual({len(line) for line in lines}, {len(lines[0])})
        self.assertEqual(lines[2].split("|")[1].strip(), "speed, 1/s")
        self.assertEqual(lines[2].split("|")[5].strip(), "2.00")

    def test_the_file_has_every_round_and_the_ratio(self) -> None:
        """Whoever reads the JSON can compute everything again."""
        facts = json.loads(json.dumps(figure((1, 3), (1,)).to_dict()))
        self.assertEqual((facts["ours"], facts["ours_median"]), ([1, 3], 2))
        self.assertEqual(facts["ratio"], 2)


class WrkTests(SynchronousTestCase):
    """What wrk prints is understood."""

    def test_latencies_come_in_milliseconds(self) -> None:
        """Whichever unit wrk chose."""
        expected = wrk.Load(2149.75, 0.85, 1200.0, requests=4321, failed=0)
        self.assertEqual(wrk.parse(WRK), expected)

    def test_failures_are_counted(self) -> None:
        """Refused requests and broken connections alike."""
        more = (
            "  Socket errors: connect 1, read 2, write 0, timeout 4\n"
            "  Non-2xx or 3xx responses: 10\n"
        )
        self.assertEqual(wrk.parse(WRK + more).failed, 17)

    def test_something_else_is_an_error(self) -> None:
        """A wrk that failed is no result."""
        self.assertRaises(ValueError, wrk.parse, "unable to connect")

    def test_a_run_lasts_at_least_a_second(self) -> None:
        """Wrk knows whole seconds only."""
        line = wrk.command("http://127.0.0.1:1/", 0.2, "a=b")
        self.assertIn("--duration=1s", line)
        self.assertIn("--header=Cookie: a=b", line)


def server_frame(opcode: int, payload: bytes) -> bytes:
    """Return a frame as servers send it."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, size))
    elif size < 1 << 16:
        head = bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big")
    return head + payload


class FramesTests(SynchronousTestCase):
    """The client speaks RFC 6455."""

    def test_a_client_frame_is_masked_and_final(self) -> None:
        """A server can take the mask off again."""
        frame = frames.client_frame(frames.TEXT, b"hello")
        mask, masked = frame[2:6], frame[6:]
        self.assertEqual(frame[:2], b"\x81\x85")
        plain = bytes(byte ^ mask[place % 4] for place, byte in enumerate(masked))
        self.assertEqual(plain, b"hello")

    def test_long_frames_have_long_lengths(self) -> None:
        """Sixteen bits from 126 bytes on, 64 bits from 65,536 on."""
        self.assertEqual(frames.client_frame(2, b"x" * 126)[:4], b"\x82\xfe\x00\x7e")
        self.assertEqual(
            frames.client_frame(2, b"x" * 65536)[:10],
            b"\x82\xff" + b"\0" * 5 + b"\1\0\0",
        )

    @given(
        st.lists(
            st.tuples(
                st.sampled_from((frames.TEXT, frames.PING)),
                st.sampled_from((0, 1, 125, 126, 300, 65535, 65536)),
            ),
            max_size=4,
        ),
        st.lists(st.integers(1, 70000), max_size=6),
    )
    def test_frames_arrive_however_they_are_cut(
        self, sent: list[tuple[int, int]], cuts: list[int]
    ) -> None:
        """TCP may cut a stream anywhere."""
        wanted = [(opcode, b"p" * size) for opcode, size in sent]
        stream = b"".join(server_frame(*frame) for frame in wanted)
        reader, got = frames.Reader(), []
        for cut in [*cuts, len(stream)]:
            got += reader.feed(stream[:cut])
            stream = stream[cut:]
        self.assertEqual(got, wanted)

    def test_the_handshake_ends_with_an_empty_line(self) -> None:
        """And names its path."""
        asked = frames.handshake("127.0.0.1:1", "/ws/Bench/echo")
        self.assertTrue(asked.startswith(b"GET /ws/Bench/echo HTTP/1.1\r\n"))
        self.assertTrue(asked.endswith(b"\r\n\r\n"))


class FlowTests(SynchronousTestCase):
    """Never more than a window is on the way."""

    def test_the_sender_waits_for_the_receiver(self) -> None:
        """What was sent and not seen stays within the window; all is seen at last."""
        on_the_way = []

        async def play() -> dict[str, float]:
            flow = Flow()
            sent = seen = 0
            looking: asyncio.TimerHandle | None = None

            async def step() -> None:
                nonlocal sent, looking
                sent += STEP
                on_the_way.append(sent - seen)
                if looking is None:
                    looking = asyncio.get_running_loop().call_later(0.001, see)

            def see() -> None:
                nonlocal seen, looking
                seen, looking = sent, None
                flow.saw(seen)

            return await flow.pump(0.01, step)

        with asyncio.Runner() as runner:
            result = runner.run(play())
        self.assertLessEqual(max(on_the_way), WINDOW)
        self.assertEqual(result["count"], STEP * len(on_the_way))


class ProgramsTests(SynchronousTestCase):
    """Programs are started where they should be."""

    def test_server_and_load_have_different_cores(self) -> None:
        """Where there are two; else nothing is pinned."""
        cores = Cores.of_this_machine()
        self.assertTrue(cores.server is None or cores.server != cores.load)

    def test_ports_are_the_kernels_choice(self) -> None:
        """And open at once, so that nobody has to wait for a server to bind."""
        listener, port = listen()
        self.addCleanup(listener.close)
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            self.assertEqual(client.getpeername()[1], port)

    def test_the_trampoline_names_core_and_starter(self) -> None:
        """The program's own command line follows."""
        self.assertEqual(trampoline(None)[1:5], ["-m", "benchmarks.pinned", "-", "-"])
        self.assertEqual(trampoline(1)[3], "1")


class PartsTests(SynchronousTestCase):
    """Each part turns its rounds into figures."""

    def test_ws_counts_one_process_and_all_three(self) -> None:
        """Memory of the ws worker, and of everything that a connection needs."""
        same = {"opened_per_second": 5.0, "open_cpu_us": 7.0}
        ours = {"ws": 2.0, "http": 1.0, "broker": 0.0, **same}
        growth = {"ours": ours, "peer": {"ws": 3.0, **same}}
        figures = sockets.connection_figures(growth, 1000)
        self.assertEqual([each.ratio for each in figures], [1.5, 1.0, 1.0, 1.0])

    def test_bus_leaves_out_who_is_not_there(self) -> None:
        """Without NATS there is still the comparison with bare pyzmq."""
        answer = {"per_second": 1.0, "cpu_us": 1.0, "p50_ms": 1.0, "p99_ms": 1.0}
        engines = {"ours": [answer], "bare": [answer]}
        only_ours = {"ours": [answer]}
        measured = {
            "publish": engines,
            "forward": only_ours,
            "call": only_ours,
            "calls": only_ours,
        }
        self.assertEqual(len(bus.figures(measured)), 2)
