"""``tb-manifest.yaml`` as the ``config.yaml`` that it means (R6.3).

Three shapes are about, and all are understood: the documented one
(``workers.http: {instances: 2}``), ToolBoxV2's own schema (``workers.http: [{…}]``,
``mods``, ``services``, ``paths``), and the layout of ``config.yaml`` itself.
``environments`` changes some of it for one mode, nested or as dotted paths. What
means nothing here is warned about, once for each part.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import attrs

from tbtwist.config.catalog import SECTIONS
from tbtwist.config.findings import Findings
from tbtwist.config.nodes import Items, Node, Pair, Scalar, Table
from tbtwist.config.values import NOT_GIVEN, Slot, Values

NAMES: Final = ("tb-manifest.yaml", "tb-manifest.yml")
_MARKS: Final = frozenset({"workers", "environments", "manifest_version"})
_ENVIRONMENTS: Final = "environments"
_ENABLED: Final = "enabled"
_WORKERS: Final[Mapping[str, str]] = {
    "http": "http_worker",
    "ws": "ws_worker",
    "websocket": "ws_worker",
}
_MOVED: Final[Mapping[str, str]] = {
    "app.environment": "environment",
    "app.debug": "debug",
    "app.log_level": "log_level",
    "app.instance_id": "toolbox.instance_id",
    "mods.init_modules": "toolbox.modules_preload",
    "mods.open_modules": "toolbox.open_modules",
    "paths.data_dir": "data_dir",
    "paths.dist_dir": "nginx.static_root",
    "services.zmq": "zmq",
    "services.manager": "manager",
    "auth.session": "session",
    "http_worker.instances": "http_worker.workers",
    "ws_worker.instances": "ws_worker.workers",
}
_FOREIGN: Final = frozenset(
    {
        *("app", "mods", "services", "paths", "autostart", "database", "registry"),
        *("features", "observability", "isaa", "manifest_version", "utilities"),
    }
)
"""Parts of ToolBoxV2's schema that are no business of its workers, but for `_MOVED`."""
_KNOWN: Final = _FOREIGN | frozenset(SECTIONS)
_WITHOUT_EFFECT: Final = frozenset(
    {
        *("auth.provider", "auth.jwt_access_expiry", "auth.jwt_refresh_expiry"),
        *("toolbox.client_prefix", "toolbox.timeout_seconds"),
        *("toolbox.max_instances", "ws_worker.name", "http_worker.name"),
        *("http_worker.ssl", "http_worker.ssl_cert", "http_worker.ssl_key"),
    }
)
"""Keys of its schema that are, and that have no effect there either."""
_NO_EFFECT: Final = "is accepted and has no effect"
_STEP: Final = re.compile(r"\[\d+\]")


def is_manifest(tree: Table, name: str) -> bool:
    """Whether a file is a manifest: by its name, or by what is in it."""
    named = name.rpartition("/")[2] in NAMES
    return named or any(pair.key in _MARKS for pair in tree.pairs)


@attrs.frozen
class Manifest:
    """A manifest laid out as ``config.yaml``; ``environments`` by mode."""

    base: Table
    environments: Mapping[str, Table]

    def settings(self, mode: str, values: Values) -> Table:
        """Return what holds in ``mode``."""
        over = self.environments.get(mode, Table(self.base.place, ()))
        merged = _merged(self.base, (*self.base.pairs, *over.pairs))
        workers = set(_WORKERS.values())
        return attrs.evolve(
            merged,
            pairs=tuple(
                _switched(pair, values) if pair.key in workers else pair
                for pair in merged.pairs
            ),
        )


def manifest(tree: Table, findings: Findings) -> Manifest:
    """Return the manifest that ``tree`` is; what is wrong goes to ``findings``."""
    layout = _Layout(findings)
    kept = [pair for pair in tree.pairs if pair.key != _ENVIRONMENTS]
    environments = {
        mode.key: layout.of(_nested(table))
        for pair in tree.pairs
        if pair.key == _ENVIRONMENTS
        for mode in layout.table(pair).pairs
        for table in [layout.table(mode)]
    }
    return Manifest(layout.of(attrs.evolve(tree, pairs=tuple(kept))), environments)


@attrs.frozen
class _Layout:
    """Turns the parts of a manifest into sections of ``config.yaml``."""

    findings: Findings

    def of(self, tree: Table) -> Table:
        """Return ``tree`` with everything where ``config.yaml`` has it."""
        return _merged(
            tree, (moved for pair in tree.pairs for moved in self._part(pair))
        )

    def table(self, pair: Pair) -> Table:
        """Return the keys below ``pair``; an empty value has none."""
        match pair.node:
            case Table() as table:
                return table
            case Scalar(value=None):
                return Table(pair.place, ())
            case other:
                expected = "expected keys below it, indented"
                self.findings.problem(other.place, pair.key, expected)
                return Table(pair.place, ())

    def _part(self, pair: Pair) -> Iterator[Pair]:
        if pair.key == "workers":
            yield from self._workers(pair)
        elif isinstance(pair.node, Table) and pair.key in _KNOWN:
            yield from self._section(pair, pair.node)
        elif pair.key in _FOREIGN:
            self.findings.warn(pair.place, pair.key, _NO_EFFECT)
        else:
            yield pair

    def _workers(self, workers: Pair) -> Iterator[Pair]:
        for pair in self.table(workers).pairs:
            section = _WORKERS.get(pair.key)
            if section is None:
                key = f"workers.{pair.key}"
                self.findings.problem(pair.place, key, "expected http or ws")
                continue
            first = attrs.evolve(pair, key=section, node=self._first(pair))
            yield from self._section(first, self.table(first))

    def _first(self, pair: Pair) -> Node:
        """Return the first of several groups of workers; there is one of each kind."""
        if not isinstance(pair.node, Items) or not pair.node.items:
            return pair.node
        first, *others = pair.node.items
        for number, other in enumerate(others, 1):
            self.findings.warn(other.place, f"workers.{pair.key}[{number}]", _NO_EFFECT)
        return first

    def _section(self, section: Pair, table: Table) -> Iterator[Pair]:
        useless = []
        for pair in table.pairs:
            key = f"{section.key}.{pair.key}"
            if key in _MOVED:
                yield _below(_MOVED[key].split("."), pair)
            elif key in _WITHOUT_EFFECT or section.key in _FOREIGN:
                useless.append(pair.key)
            else:
                yield _below([section.key, pair.key], pair)
        if useless:
            names = ", ".join(useless)
            self.findings.warn(section.place, section.key, f"no effect here: {names}")


def _nested(tree: Table) -> Table:
    """Return ``a.b[0].c: x`` as ``a: {b: {c: x}}``, for every key."""
    paths = ((_STEP.sub("", pair.key).split("."), pair) for pair in tree.pairs)
    return _merged(tree, (_below(path, pair) for path, pair in paths))


def _below(path: list[str], pair: Pair) -> Pair:
    """Return ``pair`` under the names of ``path``, the last of which is its own."""
    *above, own = path
    found = attrs.evolve(pair, key=own)
    for name in reversed(above):
        found = Pair(name, pair.place, Table(pair.place, (found,)))
    return found


def _merged(tree: Table, pairs: Iterable[Pair]) -> Table:
    """Return ``pairs`` in place of the tree's own, each name once: the last one counts."""
    found: dict[str, Pair] = {}
    for pair in pairs:
        before = found.get(pair.key)
        if before and isinstance(before.node, Table) and isinstance(pair.node, Table):
            both = (*before.node.pairs, *pair.node.pairs)
            found[pair.key] = attrs.evolve(pair, node=_merged(pair.node, both))
        else:
            found[pair.key] = pair
    return attrs.evolve(tree, pairs=tuple(found.values()))


def _switched(section: Pair, values: Values) -> Pair:
    """Return a section of workers without ``enabled``; false means no workers."""
    if not isinstance(section.node, Table):
        return section
    kept = {pair.key: pair for pair in section.node.pairs}
    switch = kept.pop(_ENABLED, None)
    if switch is not None:
        slot = Slot(f"{section.key}.{_ENABLED}", bool, secret=False)
        enabled = values.from_node(switch.node, slot)
        if enabled is not NOT_GIVEN and not enabled:
            none = Scalar(switch.node.place, "0", 0)
            kept["workers"] = Pair("workers", switch.place, none)
    return attrs.evolve(
        section, node=attrs.evolve(section.node, pairs=tuple(kept.values()))
    )
