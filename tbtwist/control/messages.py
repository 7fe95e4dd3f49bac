"""What travels over the control socket.

A message is four bytes of length (big-endian) and so many bytes of JSON, at most
1 MiB: an object whose ``type`` names the message. A client sends one request and
gets one reply to each, in order::

    {"type":"status"}                        → {"type":"status","status":{…}}
    {"type":"stop","timeout_s":15.0}         → {"type":"done"}  when all is stopped
    {"type":"version"}                       → {"type":"version","version":"0.1.0","pid":4711}
    {"type":"update","roles":["http"]}       → {"type":"step",…} as often as it gets on,
                                               then {"type":"done"}
    {"type":"plan","roles":["http"]}         → {"type":"plan","lines":[…]}
    {"type":"scale","role":"ws","count":3}   → {"type":"done"}
    {"type":"start","role":"http"}           → {"type":"started","worker":"http-3"}
    {"type":"stop-worker","worker":"http-3"} → {"type":"done"}
    {"type":"link"}                          → {"type":"link","url":"http://…/#login=…"}
    anything else                            → {"type":"failed","reason":"…"}

Fields that a side does not know are passed over, so that client and manager may
be of different versions.
"""

from __future__ import annotations

import struct
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from tbtwist.errors import BadFrame
from tbtwist.status import Status, UpdateStep

MAX_MESSAGE_BYTES: Final = 1024 * 1024
MAX_WORKERS: Final = 256
PREFIX: Final = struct.Struct("!I")
_M = TypeVar("_M")


class StatusRequest(msgspec.Struct, frozen=True, tag="status"):
    """How is everything?"""


class StopRequest(msgspec.Struct, frozen=True, tag="stop"):
    """Drain and stop everything, within ``timeout_s`` seconds."""

    timeout_s: Annotated[float, Meta(ge=0, le=86_400)]


class VersionRequest(msgspec.Struct, frozen=True, tag="version"):
    """Who are you?"""


Serving = Literal["http", "ws"]


class UpdateRequest(msgspec.Struct, frozen=True, tag="update"):
    """Replace the workers of ``roles``, one after another."""

    roles: tuple[Serving, ...] = ("http", "ws")


class PlanRequest(msgspec.Struct, frozen=True, tag="plan"):
    """What would an update do?"""

    roles: tuple[Serving, ...] = ("http", "ws")


class ScaleRequest(msgspec.Struct, frozen=True, tag="scale"):
    """Start or stop workers until there are ``count`` of ``role``."""

    role: Serving
    count: Annotated[int, Meta(ge=0, le=MAX_WORKERS)]


class StartWorkerRequest(msgspec.Struct, frozen=True, tag="start"):
    """Start one more worker."""

    role: Serving


class StopWorkerRequest(msgspec.Struct, frozen=True, tag="stop-worker"):
    """Let one worker drain and leave."""

    worker: str


class LinkRequest(msgspec.Struct, frozen=True, tag="link"):
    """How does a browser get into the web UI?"""


Request = (
    StatusRequest
    | StopRequest
    | VersionRequest
    | UpdateRequest
    | PlanRequest
    | ScaleRequest
    | StartWorkerRequest
    | StopWorkerRequest
    | LinkRequest
)


class StatusReply(msgspec.Struct, frozen=True, tag="status"):
    """How everything is."""

    status: Status


class Done(msgspec.Struct, frozen=True, tag="done"):
    """It is done."""


class VersionReply(msgspec.Struct, frozen=True, tag="version"):
    """The version of the manager, and its pid."""

    version: str
    pid: int


class StepReply(msgspec.Struct, frozen=True, tag="step"):
    """What an update has come to; another reply follows."""

    step: UpdateStep


class PlanReply(msgspec.Struct, frozen=True, tag="plan"):
    """What an update would do."""

    lines: tuple[str, ...]


class StartedReply(msgspec.Struct, frozen=True, tag="started"):
    """The worker that was started."""

    worker: str


class LinkReply(msgspec.Struct, frozen=True, tag="link"):
    """An address that lets one browser in, once."""

    url: str


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It was not done, and why."""

    reason: str


Reply = (
    StatusReply
    | Done
    | VersionReply
    | StepReply
    | PlanReply
    | StartedReply
    | LinkReply
    | Failed
)

_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_replies: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


def encode(message: Request | Reply) -> bytes:
    """Return the body of a message, without its length.

    Raises:
        BadFrame: it would be too long.
    """
    body = msgspec.json.encode(message)
    check_length(len(body))
    return body


def check_length(length: int) -> None:
    """Refuse a message of ``length`` bytes if that is too long; `BadFrame`."""
    if length > MAX_MESSAGE_BYTES:
        reason = f"{length} bytes are more than {MAX_MESSAGE_BYTES}"
        raise BadFrame(reason=reason)


def decode_request(body: bytes) -> Request:
    """Read a request; `BadFrame` if it is none."""
    return _decode(_requests, body)


def decode_reply(body: bytes) -> Reply:
    """Read a reply; `BadFrame` if it is none."""
    return _decode(_replies, body)


def _decode(decoder: msgspec.json.Decoder[_M], body: bytes) -> _M:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadFrame(reason=str(error)) from error
