"""Who is who: workers, their generations, and the connections they own.

A worker is ``slot.generation.nonce``, for example ``http-1.7.c3f9a1d2``. The
slot (``http-1``) is the place that an operator sees; every process that ever
fills it gets a new generation and a new nonce, so no identity is used twice.
A connection's id is a UUID (version 8) that encodes the slot and generation of
the ws worker that owns it, so that anyone can address its owner (BUS.md).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Final

import attrs
from typing_extensions import override

from tbtwist.errors import BadFrame

RandomBytes = Callable[[int], bytes]
"""A source of randomness, as ``secrets.token_bytes``."""

CLIENT_ROLE: Final = "client"
"""The role of programs that are no workers: they get no keys, and nobody waits for them."""

_SLOT: Final = re.compile(r"(?P<role>[a-z]+)-(?P<index>[1-9][0-9]{0,4})\Z")
_IDENTITY: Final = re.compile(
    r"(?P<slot>[a-z]+-[1-9][0-9]{0,4})\.(?P<generation>[0-9]{1,9})\.(?P<nonce>[0-9a-f]+)\Z"
)
MAX_GENERATION: Final = 2**32 - 1


def slot_role(slot: str) -> str:
    """Return the role of a slot: ``http`` for ``http-1``.

    Raises:
        ValueError: ``slot`` is not of the form ``role-number``.
    """
    return _match_slot(slot)["role"]


def slot_index(slot: str) -> int:
    """Return the number of a slot: 1 for ``http-1``; ValueError as `slot_role`."""
    return int(_match_slot(slot)["index"])


def _match_slot(slot: str) -> re.Match[str]:
    found = _SLOT.match(slot)
    if found is None:
        msg = f"{slot!r} is not a worker id of the form role-number, like http-1"
        raise ValueError(msg)
    return found


@attrs.frozen
class WorkerId:
    """One process in one slot, once."""

    slot: str
    generation: int
    nonce: str

    @classmethod
    def new(cls, slot: str, generation: int, random: RandomBytes) -> WorkerId:
        """Return an identity for ``slot`` that was never used before."""
        slot_role(slot)
        return cls(slot, generation, random(4).hex())

    @classmethod
    def parse(cls, text: str) -> WorkerId:
        """Read ``slot.generation.nonce``; `BadFrame` if it is something else."""
        found = _IDENTITY.match(text)
        if found is None:
            raise BadFrame(reason=f"{text!r} is not an identity")
        return cls(found["slot"], int(found["generation"]), found["nonce"])

    @property
    def role(self) -> str:
        """Return ``http``, ``ws`` or whatever the slot begins with."""
        return slot_role(self.slot)

    @override
    def __str__(self) -> str:
        """Return the form that travels, ``slot.generation.nonce``."""
        return f"{self.slot}.{self.generation}.{self.nonce}"


@attrs.frozen
class Owner:
    """The ws worker that holds a connection: its slot and generation."""

    slot: str
    generation: int


def new_conn_id(owner: WorkerId, random: RandomBytes) -> str:
    """Return a fresh connection id (a UUID, version 8) that names its owner.

    The first 48 bits are slot number (16) and generation (32), the other 74 free
    bits are random.
    """
    head = (slot_index(owner.slot) << 32) | owner.generation
    tail = int.from_bytes(random(10))
    value = head << 80 | tail
    value = (value & ~(0xF << 76)) | (8 << 76)
    value = (value & ~(0x3 << 62)) | (2 << 62)
    return str(uuid.UUID(int=value))


def conn_owner(conn_id: str) -> Owner | None:
    """Return who owns a connection, or None if the id is not one of ours."""
    try:
        value = uuid.UUID(conn_id)
    except (ValueError, AttributeError):
        return None
    index = value.int >> 112
    if value.version != 8 or index == 0:
        return None
    return Owner(f"ws-{index}", (value.int >> 80) & MAX_GENERATION)
