"""What a process gets from its supervisor, and what it tells it."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.net.supervised import (
    Notifier,
    as_facts,
    figures_in,
    parse_notification,
    take_descriptors,
    take_exits,
    take_lifeline,
)


def given_descriptors(**variables: str) -> dict[str, int]:
    """Take descriptors out of an environment, as the process with pid 42."""
    return take_descriptors(dict(variables), 42)


class DescriptorTests(SynchronousTestCase):
    """``LISTEN_FDS`` and its kin."""

    def test_names(self) -> None:
        """Descriptors count from 3 and are found by their names."""
        found = given_descriptors(LISTEN_FDS="2", LISTEN_FDNAMES="http:lifeline")
        self.assertEqual(found, {"http": 3, "lifeline": 4})

    def test_ours(self) -> None:
        """Without a pid, or with ours, they are for us; else for somebody else."""
        names = {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "http"}
        for pid, expected in (("42", {"http": 3}), ("", {"http": 3}), ("41", {})):
            found = given_descriptors(LISTEN_PID=pid, **names)
            self.assertEqual(found, expected, pid)

    def test_nothing(self) -> None:
        """Without variables, or with nonsense in them, there is nothing."""
        self.assertEqual(given_descriptors(), {})
        self.assertEqual(given_descriptors(LISTEN_FDS="many"), {})
        self.assertEqual(given_descriptors(LISTEN_FDS="-1"), {})

    def test_nameless(self) -> None:
        """As with systemd, descriptors without a name are called unknown."""
        self.assertEqual(given_descriptors(LISTEN_FDS="1"), {"unknown": 3})

    def test_more_names_than_descriptors(self) -> None:
        """A name without a descriptor is nothing."""
        found = given_descriptors(LISTEN_FDS="1", LISTEN_FDNAMES="http:ws")
        self.assertEqual(found, {"http": 3})

    def test_not_passed_on(self) -> None:
        """Our own children do not take our descriptors for theirs."""
        environ = {
            "LISTEN_FDS": "1",
            "LISTEN_FDNAMES": "http",
            "LISTEN_PID": "41",
            "PATH": "/bin",
        }
        take_descriptors(environ, 42)
        self.assertEqual(environ, {"PATH": "/bin"})


class LifelineTests(SynchronousTestCase):
    """The pipe from the manager."""

    def test_taken(self) -> None:
        """The lifeline does not block and is not passed on to children."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        os.set_inheritable(reading, True)
        self.assertEqual(take_lifeline({"lifeline": reading}), reading)
        self.assertFalse(os.get_blocking(reading))
        self.assertFalse(os.get_inheritable(reading))

    def test_exits(self) -> None:
        """A broker's news of exits are taken in the same way."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        self.assertEqual(take_exits({"exits": reading, "lifeline": 99}), reading)
        self.assertFalse(os.get_blocking(reading))

    def test_none(self) -> None:
        """A process that was started by hand has none."""
        self.assertIsNone(take_lifeline({"http": 3}))
        self.assertIsNone(take_exits({"http": 3}))


class NotifierTests(SynchronousTestCase):
    """``NOTIFY_SOCKET``."""

    def setUp(self) -> None:
        """Be a supervisor that listens."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        self.path = str(Path(folder) / "notify")

    def listen(self, address: str) -> socket.socket:
        """Listen for datagrams."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.bind(address)
        sock.settimeout(5)
        return sock

    def test_told(self) -> None:
        """The supervisor hears what the process tells, in one datagram."""
        supervisor = self.listen(self.path)
        notifier = Notifier.from_environ({"NOTIFY_SOCKET": self.path})
        self.assertTrue(notifier.tell(READY=1, STATUS="serving"))
        self.assertEqual(supervisor.recv(100), b"READY=1\nSTATUS=serving")

    def test_abstract(self) -> None:
        """An address that begins with @ is in the kernel's own name space."""
        name = f"tbtwist-test-{os.getpid()}"
        supervisor = self.listen("\0" + name)
        self.assertTrue(Notifier.from_environ({"NOTIFY_SOCKET": "@" + name}).tell(X=1))
        self.assertEqual(supervisor.recv(100), b"X=1")

    def test_no_supervisor(self) -> None:
        """A process that was started by hand tells nobody, and goes on."""
        self.assertFalse(Notifier.from_environ({}).tell(READY=1))

    def test_supervisor_gone(self) -> None:
        """A supervisor that went away is no reason to fail."""
        self.assertFalse(Notifier(self.path).tell(READY=1))

    def test_supervisor_is_slow(self) -> None:
        """A supervisor that does not read never blocks the process."""
        self.listen(self.path)
        notifier = Notifier(self.path)
        told = [notifier.tell(STATUS="x" * 1000) for _ in range(10_000)]
        self.assertTrue(told[0])
        self.assertFalse(told[-1])


class ParseTests(SynchronousTestCase):
    """`parse_notification`."""

    def test_values(self) -> None:
        """A value may have an equals sign; a line without one says nothing."""
        found = parse_notification(b"READY=1\nSTATUS=a=b\nnoise\n")
        self.assertEqual(found, {"READY": "1", "STATUS": "a=b"})

    @given(
        facts=st.dictionaries(
            st.from_regex(r"[A-Z_]{1,10}", fullmatch=True),
            st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=20),
        )
    )
    def test_round_trip(self, facts: dict[str, str]) -> None:
        """Whatever is told in lines arrives."""
        lines = "\n".join(f"{name}={value}" for name, value in facts.items())
        self.assertEqual(parse_notification(lines.encode()), facts)

    @given(datagram=st.binary(max_size=100))
    def test_noise(self, datagram: bytes) -> None:
        """Anything that arrives can be read."""
        self.assertIsInstance(parse_notification(datagram), dict)


class FigureTests(SynchronousTestCase):
    """What a role counts, among what it tells."""

    @given(st.dictionaries(st.text(max_size=20), st.integers(0, 2**63)))
    def test_round_trip(self, figures: dict[str, int]) -> None:
        """Figures come through as they are, beside other facts."""
        facts = {name: str(value) for name, value in as_facts(figures).items()}
        self.assertEqual(figures_in({**facts, "READY": "1", "STATUS": "2"}), figures)

    def test_nonsense(self) -> None:
        """What is no number is passed over."""
        facts = {"X_A": "many", "X_B": "", "X_C": "-1", "X_D": "\u0663", "X_E": "7"}
        self.assertEqual(figures_in(facts), {"E": 7})
