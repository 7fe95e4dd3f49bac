"""What somebody may be called."""

from __future__ import annotations

import unicodedata
from typing import Final

MAX_NAME: Final = 32
GUEST: Final = "guest"

_PUNCTUATION: Final = frozenset(" .'\N{RIGHT SINGLE QUOTATION MARK}_-")


def tidy(name: str) -> str:
    """Return ``name`` in one normal form, with single spaces and none around."""
    return " ".join(unicodedata.normalize("NFC", name).split())


def name_problem(name: str) -> str:
    """Return why a tidy name cannot be had; empty if it can."""
    if not name:
        return "Please enter a name."
    if len(name) > MAX_NAME:
        return f"A name has at most {MAX_NAME} characters; this one has {len(name)}."
    if odd := next((char for char in name if not _may_be_in_name(char)), ""):
        return f"A name cannot contain {odd if odd.isprintable() else ascii(odd)}."
    return _pretence(name)


def _pretence(name: str) -> str:
    if not any(char.isalnum() for char in name):
        return "A name needs a letter or a digit."
    if name.casefold().startswith(GUEST):
        return f"Names that begin with {GUEST} are for those who have none."
    return ""


def _may_be_in_name(char: str) -> bool:
    return char in _PUNCTUATION or unicodedata.category(char)[0] in "LMN"


def guest_name(conn_id: str) -> str:
    """Return what to call somebody without a name: ``guest-3f9a``."""
    return f"{GUEST}-{conn_id[-4:]}"
