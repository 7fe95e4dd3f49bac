"""What happens in the room of the chat, apart from how it gets there.

A client sends::

    {"type": "say", "text": "…", "id": "…"}   to the room; id is optional
    {"type": "hello"}                         I am new here; who is there?
    {"type": "here", "to": CONN_ID}           I am; without "to": I still am
    {"type": "whoami"}                        who am I, and who handles this?

and everybody in the room receives::

    {"event": "said", "data": {"from", "text", "at", "conn_id", "user_id", "id", "by"}}
    {"event": "joined" | "hello" | "here", "data": {"conn_id", "name", "user_id", "at"}}
    {"event": "left", "data": {"conn_id", "at"}}

There are several http workers, and any of them may handle a message, so none of
them keeps a list of members: clients build it from what they hear. A message may
be handled twice when a worker dies; its ``id`` lets clients show it once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import attrs

from tbtwist import RequestData
from tbtwist.demo.names import guest_name
from tbtwist.identity import conn_owner

CHANNEL: Final = "Chat/room"
MAX_TEXT: Final = 2000
MAX_ID: Final = 64

Message = dict[str, object]


class Voice(Protocol):
    """What the room needs of an `App`."""

    def ws_broadcast(self, channel: str, data: object) -> bool:
        """Send ``data`` to everybody in a channel."""

    def ws_send(self, conn_id: str, data: object) -> bool:
        """Send ``data`` to one connection."""


@attrs.frozen
class Room:
    """What the room does when somebody comes, says something, or leaves."""

    voice: Voice
    now: Callable[[], float]
    handler: Callable[[], Message]

    async def on_connect(self, conn_id: str, request: RequestData) -> Message:
        """Announce the newcomer to everybody, and tell them who they are."""
        self._tell("joined", self._person(conn_id, request))
        return {"event": "welcome", "data": self._you(conn_id, request)}

    async def on_message(
        self, conn_id: str, payload: object, request: RequestData
    ) -> Message | None:
        """Do what the message asks for; what it does not know it refuses."""
        message = payload if isinstance(payload, Mapping) else {}
        match message.get("type"):
            case "say":
                return self._say(conn_id, message, request)
            case "hello":
                self._tell("hello", self._person(conn_id, request))
            case "here":
                return self._here(message.get("to"), self._person(conn_id, request))
            case "whoami":
                return {"event": "you", "data": self._you(conn_id, request)}
            case _:
                return refusal(
                    "UNKNOWN_TYPE",
                    "This room knows the types say, hello, here and whoami.",
                )
        return None

    async def on_disconnect(self, conn_id: str) -> None:
        """Announce who has left; the others know the name that goes with it."""
        self._tell("left", {"conn_id": conn_id, "at": self.now()})

    def _say(
        self, conn_id: str, message: Mapping[str, Any], request: RequestData
    ) -> Message | None:
        text, message_id = message.get("text"), message.get("id", "")
        problem = text_problem(text) or id_problem(message_id)
        if problem:
            return refusal("NOT_SAID", problem)
        said = self._person(conn_id, request)
        said["from"] = said.pop("name")
        said.update(text=text, id=message_id, by=self.handler())
        self._tell("said", said)
        return None

    def _here(self, newcomer: object, person: Message) -> Message | None:
        if newcomer is None:
            self._tell("here", person)
        elif isinstance(newcomer, str) and conn_owner(newcomer):
            self.voice.ws_send(newcomer, {"event": "here", "data": person})
        else:
            return refusal("NO_SUCH_CONNECTION", '"to" must be a connection\'s id.')
        return None

    def _tell(self, event: str, data: Message) -> None:
        self.voice.ws_broadcast(CHANNEL, {"event": event, "data": data})

    def _person(self, conn_id: str, request: RequestData) -> Message:
        known = request.is_authenticated
        session = request.session
        return {
            "conn_id": conn_id,
            "name": session.user_name if known else guest_name(conn_id),
            "user_id": session.user_id if known else "",
            "at": self.now(),
        }

    def _you(self, conn_id: str, request: RequestData) -> Message:
        owner = conn_owner(conn_id)
        return {
            **self._person(conn_id, request),
            "ws": owner.slot if owner else "",
            "ws_generation": owner.generation if owner else 0,
            "by": self.handler(),
        }


def refusal(code: str, message: str) -> Message:
    """Return the answer to a message that cannot be taken."""
    return {"type": "error", "code": code, "message": message}


def text_problem(text: object) -> str:
    """Return why ``text`` cannot be said; empty if it can."""
    if not isinstance(text, str) or not text.strip():
        return "There is nothing to say."
    if len(text) > MAX_TEXT:
        return f"At most {MAX_TEXT} characters at a time; these are {len(text)}."
    return ""


def id_problem(message_id: object) -> str:
    """Return why a client's message id is none; empty if it is one, or missing."""
    if isinstance(message_id, str) and len(message_id) <= MAX_ID:
        return ""
    return f'"id" must be a string of at most {MAX_ID} characters.'
