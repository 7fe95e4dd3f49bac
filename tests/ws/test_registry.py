"""Who is connected, and who listens to which channel."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.ws.registry import Registry


class RegistryTests(SynchronousTestCase):
    """Examples."""

    def setUp(self) -> None:
        """Two members, ``a`` and ``b``."""
        self.registry: Registry[str] = Registry(3, max_channels_each=2)
        self.registry.add("a", "Ann")
        self.registry.add("b", "Bob")

    def test_members_by_id(self) -> None:
        """A connection is found by its id while it is there."""
        self.assertEqual(self.registry.get("a"), "Ann")
        self.registry.remove("a")
        self.assertIsNone(self.registry.get("a"))
        self.assertEqual(len(self.registry), 1)

    def test_full(self) -> None:
        """The number of connections has a limit."""
        self.assertFalse(self.registry.full)
        self.registry.add("c", "Cem")
        self.assertTrue(self.registry.full)

    def test_channel(self) -> None:
        """Members of a channel are found in the order in which they joined."""
        self.registry.join("b", "room")
        self.registry.join("a", "room")
        self.assertEqual(self.registry.members("room"), ("Bob", "Ann"))
        self.assertEqual(self.registry.members("room", {"b"}), ("Ann",))
        self.assertEqual(self.registry.members("other"), ())

    def test_everyone(self) -> None:
        """A broadcast to all reaches all but the excluded."""
        self.assertEqual(self.registry.everyone(), ("Ann", "Bob"))
        self.assertEqual(self.registry.everyone(["a"]), ("Bob",))

    def test_joining_twice(self) -> None:
        """Joining twice is joining once; one leave ends it."""
        self.registry.join("a", "room")
        self.assertIsNone(self.registry.join("a", "room"))
        self.registry.leave("a", "room")
        self.assertEqual(self.registry.members("room"), ())

    def test_too_many_channels(self) -> None:
        """A connection cannot join without end."""
        self.registry.join("a", "1")
        self.registry.join("a", "2")
        self.assertEqual(
            self.registry.join("a", "3"), "the connection is in too many channels"
        )
        self.registry.leave("a", "1")
        self.assertIsNone(self.registry.join("a", "3"))

    def test_stranger(self) -> None:
        """Who is not connected joins nothing, and leaves without an error."""
        self.assertEqual(self.registry.join("x", "room"), "the connection is gone")
        self.registry.leave("x", "room")
        self.registry.remove("x")
        self.assertEqual(self.registry.channels, 0)


class Model(RuleBasedStateMachine):
    """The registry against sets of pairs."""

    ids = st.sampled_from("abcd")
    names = st.sampled_from(["x", "y", "z"])

    def __init__(self) -> None:
        super().__init__()
        self.registry: Registry[str] = Registry(10)
        self.there: set[str] = set()
        self.pairs: set[tuple[str, str]] = set()

    @rule(key=ids)
    def add(self, key: str) -> None:
        """Connect, if not connected."""
        if key not in self.there:
            self.registry.add(key, key)
            self.there.add(key)

    @rule(key=ids)
    def remove(self, key: str) -> None:
        """Disconnect."""
        self.registry.remove(key)
        self.there.discard(key)
        self.pairs = {pair for pair in self.pairs if pair[0] != key}

    @rule(key=ids, name=names)
    def join(self, key: str, name: str) -> None:
        """Join."""
        joined = self.registry.join(key, name) is None
        assert joined == (key in self.there)
        if joined:
            self.pairs.add((key, name))

    @rule(key=ids, name=names)
    def leave(self, key: str, name: str) -> None:
        """Leave."""
        self.registry.leave(key, name)
        self.pairs.discard((key, name))

    @invariant()
    def same_members(self) -> None:
        """Channels and members are those of the model, with no empty rest."""
        assert set(self.registry.everyone()) == self.there
        for name in "xyz":
            expected = {key for key, channel in self.pairs if channel == name}
            assert set(self.registry.members(name)) == expected
        assert self.registry.channels == len({name for _, name in self.pairs})


class ModelTests(SynchronousTestCase):
    """Any order of events."""

    def test_model(self) -> None:
        """Whatever comes and goes in whatever order, membership is right."""
        run_state_machine_as_test(Model)
