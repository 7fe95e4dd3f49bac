"""The settings in effect as YAML, with secrets masked and, if wanted, origins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tbtwist.config.catalog import FIELDS, SECRETS, SECTIONS, disassemble
from tbtwist.config.reference import as_yaml
from tbtwist.config.schema import Settings

_MASK: Final = "********"


def listing(settings: Settings, origins: Mapping[str, str] | None = None) -> str:
    """Return every key with an effect; ``origins`` (by key) become comments."""
    values = disassemble(settings)
    return "".join(_lines("", "", values, origins or {})) + "".join(
        line
        for section in SECTIONS
        for line in (
            f"{section}:\n",
            *_lines(section, "  ", values, origins or {}),
        )
    )


def _lines(
    section: str, indent: str, values: Mapping[str, object], origins: Mapping[str, str]
) -> Iterator[str]:
    for field in FIELDS.values():
        if field.section != section or not field.has_effect:
            continue
        value = values[field.key]
        hidden = _MASK if field.key in SECRETS and value else value
        origin = f"  # {origins[field.key]}" if field.key in origins else ""
        yield f"{indent}{field.name}: {as_yaml(hidden)}{origin}\n"
