"""How application code names a function (R8.2)."""

from __future__ import annotations

from enum import Enum

Address = str | tuple[str, str] | Enum
"""``"Module.function"``, ``(module, function)``, or an Enum as in R8.2."""


def split(address: Address) -> tuple[str, str]:
    """Return module and function; a module's name may contain dots."""
    if isinstance(address, Enum):
        return str(type(address)["NAME"].value), str(address.value)
    if isinstance(address, str):
        module, _, function = address.rpartition(".")
        return module, function
    return address
