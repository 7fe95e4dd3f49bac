"""Where an address is, from a database on this machine and from nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from twisted.logger import Logger

from tbtwist.api.insiders import is_local

_log = Logger()
Locate = Callable[[str], dict[str, str]]
"""Returns ``city``, ``region`` and ``country`` of an address."""

_LOCAL = {"city": "Local", "region": "LAN", "country": "Internal"}


def locator(path: str) -> Locate | None:
    """Return what looks addresses up in the database at ``path``.

    None if there is none, it cannot be read, or the package ``geoip2`` is not
    installed; the log says which.
    """
    if not path:
        return None
    try:
        reader = import_module("geoip2.database").Reader(path)
    except (ImportError, OSError, ValueError) as error:
        _log.warn("no answers to /api/geo: {error}", error=str(error))
        return None
    except Exception as error:  # noqa: BLE001 - the database library's own errors
        _log.warn("{path} cannot be read: {error}", path=path, error=str(error))
        return None
    return lambda address: _look_up(reader, address)


def _look_up(reader: Any, address: str) -> dict[str, str]:
    if is_local(address):
        return _LOCAL
    missing = import_module("geoip2.errors").AddressNotFoundError
    try:
        found = reader.city(address)
    except missing:
        return {"city": "", "region": "", "country": ""}
    return {
        "city": found.city.name or "",
        "region": found.subdivisions.most_specific.name or "",
        "country": found.country.name or "",
    }
