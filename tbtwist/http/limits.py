"""What a client may do to a connection, and for how long (contract §2)."""

from __future__ import annotations

import attrs

from tbtwist.config.schema import HttpWorker


@attrs.frozen(kw_only=True)
class Limits:
    """The bounds of one connection. Times are in seconds and absolute.

    A body must be complete within ``body_timeout_s``, or bring at least
    ``min_body_bytes_per_s`` in every such stretch of time. A reader must take
    something, however little, every ``write_timeout_s``.
    """

    request_line_bytes: int
    headers: int
    header_bytes: int
    body_bytes: int
    header_timeout_s: float
    body_timeout_s: float
    min_body_bytes_per_s: int
    keepalive_s: float
    write_timeout_s: float
    queue_timeout_s: float
    drain_grace_s: float

    @classmethod
    def from_settings(cls, config: HttpWorker) -> Limits:
        """Return the configured limits."""
        return cls(
            request_line_bytes=config.max_request_line_bytes,
            headers=config.max_headers,
            header_bytes=config.max_header_bytes,
            body_bytes=config.max_body_bytes,
            header_timeout_s=config.header_timeout_s,
            body_timeout_s=config.body_timeout_s,
            min_body_bytes_per_s=config.min_body_bytes_per_s,
            keepalive_s=config.keepalive,
            write_timeout_s=config.write_timeout_s,
            queue_timeout_s=config.timeout,
            drain_grace_s=config.drain_grace_s,
        )

    @property
    def head_bytes(self) -> int:
        """Return how long a request's head may be, with its empty line."""
        return self.request_line_bytes + self.header_bytes + 4
