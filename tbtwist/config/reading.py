"""From the text of a file and the environment to settings, touching no disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import attrs

from tbtwist.config import nodes
from tbtwist.config.catalog import (
    FIELDS,
    PATHS,
    SECTIONS,
    Field,
    assemble,
    find,
    suggestion,
)
from tbtwist.config.environment import MODES, VARIABLES, desktop_shell
from tbtwist.config.findings import DEFAULT, Findings, Place, shown
from tbtwist.config.manifest import is_manifest, manifest
from tbtwist.config.ports import port_conflicts
from tbtwist.config.schema import Environment, Settings
from tbtwist.config.values import NOT_GIVEN, Slot, Values

_NO_EFFECT = "is accepted and has no effect"


@attrs.frozen
class Entry:
    """A value and where it was written."""

    value: object
    place: Place


Entries = dict[str, Entry]


@attrs.frozen
class Source:
    """The text of a configuration file, how messages call it, and its folder."""

    raw: bytes
    name: str
    folder: Path


@attrs.frozen
class Surroundings:
    """What the meaning of a configuration depends on beside its text."""

    environ: Mapping[str, str]
    cwd: Path
    home: Path


@attrs.frozen
class Reading:
    """Settings, what there was to warn about, and where each value came from."""

    settings: Settings
    warnings: tuple[str, ...]
    origins: Mapping[str, str]


def read(source: Source | None, around: Surroundings) -> Reading:
    """Return the settings that a file (or none) and the environment make.

    A variable goes before the file, the file before the mode's defaults, and
    those before the schema's.

    Raises:
        ConfigError: with every problem there is.
    """
    findings = Findings()
    values = Values(around.environ, findings)
    given = _from_environment(values)
    written = (_from_file(source, values, given) if source else {}) | given
    entries = _mode_defaults(written) | written
    folder = source.folder if source else around.cwd
    entries |= _paths(entries, folder, around, findings)
    settings = assemble({key: entry.value for key, entry in entries.items()})
    _check_ports(settings, entries, findings)
    findings.check()
    return Reading(settings, findings.warnings, _origins(entries))


def _from_file(source: Source, values: Values, given: Entries) -> Entries:
    tree = nodes.parse(source.raw, source.name, values.findings)
    if is_manifest(tree, source.name):
        tree = _from_manifest(tree, values, given)
    entries: Entries = {}
    for pair in tree.pairs:
        if pair.key in SECTIONS:
            _read_section(pair, values, entries)
        else:
            _read_key("", pair, values, entries)
    return entries


def _from_manifest(tree: nodes.Table, values: Values, given: Entries) -> nodes.Table:
    """Return a manifest as the sections that it means in the mode that counts."""
    found = manifest(tree, values.findings)
    mode: object = FIELDS["environment"].default
    quiet = Values(values.environ, Findings())  # a wrong one is told when it is read
    for pair in found.base.pairs:
        if pair.key == "environment":
            mode = quiet.from_node(pair.node, Slot.of(FIELDS["environment"]))
    if "environment" in given:
        mode = given["environment"].value
    return found.settings(str(mode), values)


def _read_section(pair: nodes.Pair, values: Values, entries: Entries) -> None:
    match pair.node:
        case nodes.Table(pairs=pairs):
            for inner in pairs:
                _read_key(pair.key, inner, values, entries)
        case nodes.Scalar(value=None):
            pass
        case other:
            expected = "expected keys below it, indented"
            values.findings.problem(other.place, pair.key, expected)


def _read_key(section: str, pair: nodes.Pair, values: Values, entries: Entries) -> None:
    written = f"{section}.{pair.key}" if section else pair.key
    field = find(section, pair.key)
    if field is None:
        unknown = f"unknown key{suggestion(section, pair.key)}"
        values.findings.problem(pair.place, shown(written), unknown)
    elif not field.has_effect:
        values.findings.warn(pair.place, written, _NO_EFFECT)
    else:
        value = values.from_node(pair.node, Slot.of(field))
        if value is not NOT_GIVEN:
            entry = Entry(value, pair.node.place)
            _enter(entries, field, entry, written, values.findings)


def _enter(
    entries: Entries, field: Field, entry: Entry, written: str, findings: Findings
) -> None:
    earlier = entries.setdefault(field.key, entry)
    if earlier.value != entry.value:
        expected = (
            f"expected the same value as in line {earlier.place.line}: "
            f"workers and instances are one setting"
        )
        findings.problem(entry.place, written, expected)


def _from_environment(values: Values) -> Entries:
    entries: Entries = {}
    if desktop_shell(values.environ):
        entries["environment"] = Entry("tauri", Place("TAURI_ENV"))
    for name, key in _set_variables(values.environ):
        place, field = Place(name), FIELDS[key]
        if not field.has_effect:
            values.findings.warn(place, key, _NO_EFFECT)
            continue
        value = values.from_text(values.environ[name], Slot.of(field), place)
        if value is not NOT_GIVEN:
            entries[key] = Entry(value, place)
    return entries


def _set_variables(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, keys in VARIABLES.items():
        if environ.get(name):
            yield from ((name, key) for key in keys)


def _mode_defaults(written: Entries) -> Entries:
    default = Entry(FIELDS["environment"].default, DEFAULT)
    mode = cast("Environment", written.get("environment", default).value)
    place = Place(f"default for {mode}")
    return {key: Entry(value, place) for key, value in MODES[mode].items()}


def _paths(
    entries: Entries, folder: Path, around: Surroundings, findings: Findings
) -> Entries:
    """Return the folders among ``entries``, made absolute."""
    absolute: Entries = {
        "data_dir": Entry(str(around.home / ".tbtwist"), DEFAULT),
    }
    for key, entry in entries.items():
        if key not in PATHS or entry.value == "":
            continue
        text = cast("str", entry.value)
        base = folder if entry.place.in_file else around.cwd
        if text.startswith("~") and text[1:2] not in {"", "/"}:
            findings.problem(entry.place, key, "expected ~/… for the home folder")
        elif text.startswith("~"):
            absolute[key] = Entry(str(around.home / text[2:]), entry.place)
        else:
            absolute[key] = Entry(str(base / text), entry.place)
    return absolute


def _check_ports(settings: Settings, entries: Entries, findings: Findings) -> None:
    for conflict in port_conflicts(settings):
        if any(findings.concern(key) for key in conflict.keys):
            continue
        written = [(entries[key].place, key) for key in conflict.keys if key in entries]
        place, key = max(written, key=lambda found: _blame(found[0]))
        findings.problem(place, key, conflict.expected)


def _blame(place: Place) -> tuple[bool, tuple[bool, int, int]]:
    """Order places by how likely a change there is meant: the last written one."""
    return (not place.source.startswith("default"), place.order)


def _origins(entries: Entries) -> dict[str, str]:
    return {
        key: str(entries[key].place if key in entries else DEFAULT)
        for key, field in FIELDS.items()
        if field.has_effect
    }
