"""YAML as a tree whose every value knows the line and column where it stands.

Size, depth and the work that aliases can cause are bounded; duplicate keys and
tags that would run code are refused. Nothing here knows what the keys mean.
"""

from __future__ import annotations

import re
from typing import Final

import attrs
import yaml
from typing_extensions import override

from tbtwist.config.findings import Findings, Place, shown
from tbtwist.config.scalars import CannotType, PlainValue, typed

MAX_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 16
MAX_NODES: Final = 50_000

_MERGE: Final = "tag:yaml.org,2002:merge"
_COLLECTION_TAGS: Final = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
_QUOTED: Final = re.compile(r"'[^'<]{2,}'")
_NOT_YAML: Final = "not YAML"
_WHOLE: Final = "the whole file"


@attrs.frozen
class Scalar:
    """One plain value: its text, and what YAML's rules make of it."""

    place: Place
    text: str
    value: PlainValue


@attrs.frozen
class Items:
    """A list."""

    place: Place
    items: tuple[Node, ...]


@attrs.frozen
class Pair:
    """A key and its value; ``place`` is the key's."""

    key: str
    place: Place
    node: Node


@attrs.frozen
class Table:
    """A mapping, in the order of the file and without duplicates."""

    place: Place
    pairs: tuple[Pair, ...]


Node = Scalar | Items | Table


def parse(raw: bytes, source: str, findings: Findings) -> Table:
    """Return the tree of one YAML document; an empty one is an empty mapping.

    Problems that leave the rest readable go to ``findings``.

    Raises:
        ConfigError: the text is no YAML, too large, or not a mapping.
    """
    nothing = Table(Place(source, 1, 1), ())
    root = _compose(_decode(raw, source, findings), source, findings)
    if root is None:
        return nothing
    tree = _Builder(source, findings).build(root, "", 0)
    if isinstance(tree, Table):
        return tree
    if isinstance(tree, Items) or tree.value is not None:
        expected = "expected sections with keys, not a list or a single value"
        findings.stop(tree.place, _WHOLE, expected)
    return nothing


def _decode(raw: bytes, source: str, findings: Findings) -> str:
    if len(raw) > MAX_BYTES:
        size = f"expected at most {MAX_BYTES} bytes, not {len(raw)}"
        findings.stop(Place(source, 1, 1), _WHOLE, size)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = _place_at(raw[: error.start].decode("utf-8", "replace"), source)
        findings.stop(place, _NOT_YAML, "expected UTF-8 text")


def _place_at(before: str, source: str) -> Place:
    """Return the place of the character that follows ``before``."""
    line_start = before.rfind("\n") + 1
    return Place(source, before.count("\n") + 1, len(before) - line_start + 1)


def _compose(text: str, source: str, findings: Findings) -> yaml.Node | None:
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        place = _place_at(text[: error.position], source)
        sentence = "expected printable characters only"
        findings.stop(place, _NOT_YAML, sentence)
    try:
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = _place(mark, source) if mark else Place(source, 1, 1)
        findings.stop(place, _NOT_YAML, _sentence(error))
    finally:
        loader.dispose()


def _sentence(error: yaml.MarkedYAMLError) -> str:
    """Return PyYAML's complaint without the words of the file it may quote."""
    problem = " ".join((error.problem or "it cannot be read").split())
    return _QUOTED.sub("'…'", problem)


def _place(mark: yaml.Mark, source: str) -> Place:
    return Place(source, mark.line + 1, mark.column + 1)


class _Loader(yaml.SafeLoader):
    """Composes nodes, and stops where they are nested too deep to be meant."""

    _depth = 0

    @override
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose one node, counting how deep it stands."""
        if self._depth > MAX_DEPTH:
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


_TOO_DEEP: Final = f"nested more than {MAX_DEPTH} levels deep"


class _Builder:
    """Turns PyYAML's nodes into ours; each alias counts as often as it is used."""

    def __init__(self, source: str, findings: Findings) -> None:
        self._source = source
        self._findings = findings
        self._nodes_left = MAX_NODES

    def build(self, node: yaml.Node, path: str, depth: int) -> Node:
        """Return our form of ``node``, which stands at ``path``."""
        place = _place(node.start_mark, self._source)
        self._nodes_left -= 1
        if self._nodes_left < 0 or depth > MAX_DEPTH:
            limit = "expected less: it is nested or repeated (by aliases) too much"
            self._findings.stop(place, path or _WHOLE, limit)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, place, path)
        if node.tag not in _COLLECTION_TAGS:
            self._findings.problem(place, path, "expected no tag here")
        if isinstance(node, yaml.SequenceNode):
            items = enumerate(node.value)
            return Items(
                place,
                tuple(self.build(n, f"{path}[{i}]", depth + 1) for i, n in items),
            )
        return Table(place, tuple(self._pairs(node, path, depth)))

    def _scalar(self, node: yaml.ScalarNode, place: Place, path: str) -> Scalar:
        try:
            return Scalar(place, node.value, typed(node.tag, node.value))
        except CannotType as error:
            self._findings.problem(place, path, str(error))
            return Scalar(place, node.value, None)

    def _pairs(self, node: yaml.Node, path: str, depth: int) -> list[Pair]:
        own: dict[str, Pair] = {}
        merged: dict[str, Pair] = {}
        for key_node, value_node in node.value:
            pair = self._pair(key_node, value_node, path, depth)
            if key_node.tag == _MERGE:
                merged = {**self._merge(pair), **merged}
            elif pair.key in own:
                first = own[pair.key].place.line
                expected = f"expected every key once; it stands in line {first} already"
                self._findings.problem(pair.place, _join(path, pair.key), expected)
            else:
                own[pair.key] = pair
        return list({**merged, **own}.values())

    def _pair(
        self, key_node: yaml.Node, value_node: yaml.Node, path: str, depth: int
    ) -> Pair:
        place = _place(key_node.start_mark, self._source)
        if not isinstance(key_node, yaml.ScalarNode):
            self._findings.stop(place, path or _WHOLE, "expected a simple key")
        key = key_node.value
        return Pair(key, place, self.build(value_node, _join(path, key), depth + 1))

    def _merge(self, pair: Pair) -> dict[str, Pair]:
        """Return what ``<<`` brings in; the first of several mappings wins."""
        node = pair.node
        sources = node.items if isinstance(node, Items) else (node,)
        merged: dict[str, Pair] = {}
        for source in sources:
            if not isinstance(source, Table):
                self._findings.problem(pair.place, "<<", "expected a mapping to merge")
                continue
            merged = {**{p.key: p for p in source.pairs}, **merged}
        return merged


def _join(path: str, key: str) -> str:
    key = shown(key)
    return f"{path}.{key}" if path else key
