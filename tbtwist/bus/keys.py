"""The bus' keys: made once, kept in the data directory, for nobody but its user.

Where the bus is on TCP, whoever can reach the port could join it. So both sides
prove who they are (CURVE): the broker with one pair of keys, all workers of a data
directory with another. Whoever may read the file belongs to the bus.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from typing_extensions import override

from tbtwist.auth.private import kept
from tbtwist.errors import BusKeysUnusable, PrivateFileUnusable
from tbtwist.identity import RandomBytes

FILE_NAME: Final = "bus_keys"
KEY_BYTES: Final = 32

Key = Annotated[bytes, Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]


class BusKeys(msgspec.Struct, frozen=True):
    """Two secret keys of Curve25519, the broker's and the workers'."""

    broker: Key
    worker: Key

    @override
    def __repr__(self) -> str:
        """Show nothing."""
        return "BusKeys(…)"

    @classmethod
    def new(cls, random: RandomBytes) -> BusKeys:
        """Return keys that nobody else has."""
        return cls(random(KEY_BYTES), random(KEY_BYTES))

    @classmethod
    def load(cls, data_dir: Path, random: RandomBytes) -> BusKeys:
        """Return the keys in ``data_dir``, which are made if they are not there.

        Raises:
            BusKeysUnusable: they cannot be read or made, or others may read them.
        """
        path = data_dir / FILE_NAME
        try:
            text = kept(path, lambda: msgspec.json.encode(cls.new(random)), random)
            return msgspec.json.decode(text, type=cls)
        except PrivateFileUnusable as error:
            reason = f"{error.path} {error.reason}"
            raise BusKeysUnusable(reason=reason) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            reason = f"{path} is damaged; remove it to get new ones"
            raise BusKeysUnusable(reason=reason) from error
