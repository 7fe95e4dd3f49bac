"""Every key there is: its section, type and default, read off the schema."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs
import msgspec

from tbtwist.config.schema import ALIASES, SECRET_NAMES, UNUSED, Section, Settings

PATHS: Final = frozenset(
    {
        "data_dir",
        "geoip_db_path",
        "auth.jwks_ca_file",
        "http_worker.static_root",
        "nginx.static_root",
        "nginx.ssl_certificate",
        "nginx.ssl_certificate_key",
        "nginx.config_path",
        "nginx.symlink_path",
        "nginx.pid_file",
    }
)
"""Keys that name a folder or file: relative to the file that they stand in."""


@attrs.frozen
class Field:
    """One key. ``section`` is empty for the keys at the top of the file."""

    section: str
    name: str
    type: Any
    default: object

    @property
    def key(self) -> str:
        """Return the dotted name, as in messages."""
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def has_effect(self) -> bool:
        """Whether anything reads this key."""
        return self.key not in UNUSED


def _fields_of(section: type[Section], name: str) -> Iterator[Field]:
    types = typing.get_type_hints(section, include_extras=True)
    for field in msgspec.structs.fields(section):
        if field.name not in SECTIONS:
            default = field.default
            if default is msgspec.NODEFAULT:
                default = field.default_factory()
            yield Field(name, field.name, types[field.name], default)


SECTIONS: Final[Mapping[str, type[Section]]] = {
    field.name: field.type
    for field in msgspec.structs.fields(Settings)
    if isinstance(field.type, type) and issubclass(field.type, Section)
}
_ALL: Final[Mapping[str, type[Section]]] = {"": Settings} | dict(SECTIONS)
FIELDS: Final[Mapping[str, Field]] = {
    field.key: field
    for name, section in _ALL.items()
    for field in _fields_of(section, name)
}
SECRETS: Final = frozenset(
    field.key for field in FIELDS.values() if field.name in SECRET_NAMES
)
"""Keys whose values appear in no message and no listing."""


def find(section: str, name: str) -> Field | None:
    """Return the field that ``name`` means in ``section``, by an alias too."""
    key = f"{section}.{name}" if section else name
    return FIELDS.get(ALIASES.get(key, key))


def suggestion(section: str, name: str) -> str:
    """Return `` (did you mean …?)`` for an unknown key, or nothing."""
    known = [*SECTIONS, *_names("")] if not section else _names(section)
    near = difflib.get_close_matches(name.lower()[:40], known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]}?"
    elsewhere = [field.key for field in FIELDS.values() if field.name == name]
    return f"; did you mean {elsewhere[0]}?" if len(elsewhere) == 1 else ""


def _names(section: str) -> list[str]:
    own = [field.name for field in FIELDS.values() if field.section == section]
    aliases = [key.split(".") for key in ALIASES]
    return own + [name for place, name in aliases if place == section]


def assemble(values: Mapping[str, object]) -> Settings:
    """Return settings with ``values`` (by dotted key) in place of the defaults."""
    sections: dict[str, dict[str, Any]] = {"": {}}
    for key, value in values.items():
        field = FIELDS[key]
        sections.setdefault(field.section, {})[field.name] = value
    root = sections.pop("")
    root |= {name: SECTIONS[name](**given) for name, given in sections.items()}
    return Settings(**root)


def disassemble(settings: Settings) -> dict[str, object]:
    """Return every value of ``settings`` by its dotted key."""
    return {
        field.key: getattr(
            getattr(settings, field.section) if field.section else settings, field.name
        )
        for field in FIELDS.values()
    }
