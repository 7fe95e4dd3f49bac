"""Who is connected, and who listens to which channel."""

from __future__ import annotations

from hypothesis import given, strategies as st
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


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "remove", "join", "join", "leave"]),
        st.sampled_from("ab"),
        st.sampled_from("xyz"),
    ),
    max_size=30,
)


class Model:
    """The registry beside the set of pairs that it stands for."""

    def __init__(self) -> None:
        self.registry: Registry[str] = Registry(10)
        self.there: set[str] = set()
        self.pairs: set[tuple[str, str]] = set()

    def step(self, what: str, key: str, name: str) -> None:
        """Do one thing to both."""
        match what:
            case "add" if key not in self.there:
                self.registry.add(key, key)
                self.there.add(key)
            case "remove":
                self.registry.remove(key)
                self.there.discard(key)
                self.pairs = {pair for pair in self.pairs if pair[0] != key}
            case "join":
                joined = self.registry.join(key, name) is None
                assert joined == (key in self.there)
                self.pairs |= {(key, name)} if joined else set()
            case "leave":
                self.registry.leave(key, name)
                self.pairs.discard((key, name))
            case _:
                pass  # adding who is there already

    def check(self) -> None:
        """Members and channels are those of the model, with no empty rest."""
        assert set(self.registry.everyone()) == self.there
        for name in "xyz":
            expected = {key for key, channel in self.pairs if channel == name}
            assert set(self.registry.members(name)) == expected
        assert self.registry.channels == len({name for _, name in self.pairs})


class ModelTests(SynchronousTestCase):
    """Any order of events."""

    @given(steps=STEPS)
    def test_model(self, steps: list[tuple[str, str, str]]) -> None:
        """Whatever comes and goes in whatever order, membership is right."""
        model = Model()
        for what, key, name in steps:
            model.step(what, key, name)
            model.check()
