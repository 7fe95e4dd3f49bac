"""YAML with positions."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.findings import Findings
from tbtwist.config.nodes import MAX_BYTES, Items, Scalar, Table, parse
from tbtwist.errors import ConfigError


def read(text: str | bytes) -> Table:
    """Return the tree of ``text``; every problem is an error."""
    findings = Findings()
    raw = text.encode() if isinstance(text, str) else text
    tree = parse(raw, "c.yaml", findings)
    findings.check()
    return tree


class PositionTests(SynchronousTestCase):
    """Where values stand."""

    def test_lines_and_columns(self) -> None:
        """Key and value know their line and column, counted from 1."""
        (pair,) = read("# a comment\nport:  8000\n").pairs
        self.assertEqual(str(pair.place), "c.yaml:2:1")
        self.assertEqual(str(pair.node.place), "c.yaml:2:8")

    def test_nested(self) -> None:
        """Elements of lists and mappings know their own places."""
        (pair,) = read("a:\n  - x\n  - {b: y}\n").pairs
        assert isinstance(pair.node, Items)
        first, second = pair.node.items
        assert isinstance(second, Table)
        self.assertEqual(str(first.place), "c.yaml:2:5")
        self.assertEqual(str(second.pairs[0].node.place), "c.yaml:3:9")

    def test_byte_order_mark(self) -> None:
        """A file that an editor began with a byte order mark is fine."""
        self.assertEqual(str(read(b"\xef\xbb\xbfa: 1").pairs[0].place), "c.yaml:1:1")


class DocumentTests(SynchronousTestCase):
    """What a whole file may be."""

    def test_empty(self) -> None:
        """Nothing, comments and a lone marker are an empty configuration."""
        for text in ("", "# only this\n", "---\n", "~", "---\n...\n"):
            self.assertEqual(read(text).pairs, ())

    def test_not_a_mapping(self) -> None:
        """A list or a single value is refused, with its place."""
        for text in ("- a\n", "hello\n", "8000\n"):
            error = self.assertRaises(ConfigError, read, text)
            self.assertIn("c.yaml:1:1: the whole file: expected", str(error))

    def test_anchors(self) -> None:
        """An anchor may be used again."""
        a, b = read("a: &x [1, 2]\nb: *x\n").pairs
        self.assertEqual(a.node, b.node)

    def test_merge(self) -> None:
        """``<<`` brings in keys; own keys go first, then the first mapping's."""
        text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  <<: [*a, *b]\n  x: 3\n"
        node = read(text).pairs[2].node
        assert isinstance(node, Table)
        values = {p.key: p.node.value for p in node.pairs if isinstance(p.node, Scalar)}
        self.assertEqual(values, {"x": 3, "y": 1, "z": 2})

    def test_merge_of_something_else(self) -> None:
        """``<<`` with anything but mappings is refused."""
        error = self.assertRaises(ConfigError, read, "a:\n  <<: 5\n")
        self.assertEqual(str(error), "c.yaml:2:3: <<: expected a mapping to merge")

    def test_duplicate_keys(self) -> None:
        """A key that stands twice is an error at its second place."""
        error = self.assertRaises(ConfigError, read, "a:\n  b: 1\n  b: 2\n")
        self.assertEqual(
            str(error),
            "c.yaml:3:3: a.b: expected every key once; it stands in line 2 already",
        )

    def test_key_that_is_no_text(self) -> None:
        """A list as a key is refused."""
        error = self.assertRaises(ConfigError, read, "a: {[1]: 2}")
        self.assertEqual(str(error), "c.yaml:1:5: a: expected a simple key")

    def test_tags(self) -> None:
        """Tags are refused, whatever they would do."""
        for text in ("a: !!python/name:os.system x", "a: !x [1]", "a: !!set {b}"):
            error = self.assertRaises(ConfigError, read, text)
            self.assertEqual(str(error), "c.yaml:1:4: a: expected no tag here")


class BrokenTests(SynchronousTestCase):
    """Files that are no YAML."""

    def sentence(self, text: str | bytes) -> str:
        """Return the error of ``text``."""
        return str(self.assertRaises(ConfigError, read, text))

    def test_syntax(self) -> None:
        """A syntax error names line and column."""
        self.assertEqual(
            self.sentence("a:\n  b: c: d\n"),
            "c.yaml:2:7: not YAML: mapping values are not allowed here",
        )

    def test_tab(self) -> None:
        """A tab in front of a key is explained."""
        self.assertIn("c.yaml:2:1: not YAML:", self.sentence("a:\n\tb: 1\n"))

    def test_not_utf_8(self) -> None:
        """Bytes that are no UTF-8 are found where they stand."""
        self.assertEqual(
            self.sentence(b"a: 1\nb: \xff"),
            "c.yaml:2:4: not YAML: expected UTF-8 text",
        )

    def test_control_characters(self) -> None:
        """A control character is found where it stands."""
        self.assertEqual(
            self.sentence("a: 1\nb: \x00"),
            "c.yaml:2:4: not YAML: expected printable characters only",
        )

    def test_two_documents(self) -> None:
        """A file has one document."""
        self.assertIn("c.yaml:2:1: not YAML:", self.sentence("a: 1\n---\nb: 2\n"))

    def test_secrets_stay_out(self) -> None:
        """A secret that YAML takes for an alias is not repeated in the message."""
        sentence = self.sentence("session:\n  cookie_secret: *hunter2secret\n")
        self.assertIn("c.yaml:2:18: not YAML: found undefined alias", sentence)
        self.assertNotIn("hunter2", sentence)

    def test_too_large(self) -> None:
        """A huge file is refused before it is read through."""
        self.assertIn("at most", self.sentence(b"#" * (MAX_BYTES + 1)))

    def test_too_deep(self) -> None:
        """Endless nesting is refused, not a crash."""
        self.assertIn("nested more than", self.sentence("a: " + "[" * 5000))

    def test_alias_of_itself(self) -> None:
        """A list that contains itself is refused."""
        self.assertIn("by aliases", self.sentence("a: &a [*a]"))

    def test_billion_laughs(self) -> None:
        """Aliases that multiply are refused before they fill the memory."""
        lines = ["l0: &l0 [x]"]
        for level in range(1, 12):
            aliases = ", ".join([f"*l{level - 1}"] * 10)
            lines.append(f"l{level}: &l{level} [{aliases}]")
        self.assertIn("by aliases", self.sentence("\n".join(lines)))

    @given(st.one_of(st.binary(max_size=60), st.text("ab:-[]{}&*!|>'\"\n \t#?,<~%@")))
    def test_any_bytes(self, raw: str | bytes) -> None:
        """Any bytes are a tree or a ConfigError with a place, nothing else."""
        try:
            read(raw)
        except ConfigError as error:
            self.assertTrue(error.problems)
            for problem in error.problems:
                self.assertRegex(problem.where, r"^c\.yaml:\d+:\d+$")
