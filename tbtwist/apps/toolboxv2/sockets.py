"""The WebSocket verbs of ToolBoxV2's App, spoken over our bus (R3).

They are coroutine functions there, so they are here: application code awaits them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from tbtwist.apps.encoding import to_json
from tbtwist.apps.messaging import Messaging


@attrs.frozen
class Verbs:
    """What ToolBoxV2 calls its WebSocket bridge. All say whether it is under way."""

    _messaging: Messaging

    async def send_message(self, conn_id: str, payload: Any) -> bool:
        """Send to one connection; text goes out as it is."""
        return self._messaging.ws_send(conn_id, payload)

    async def broadcast_message(
        self, channel_id: str, payload: Any, source_conn_id: str = ""
    ) -> bool:
        """Send to a channel's members, except where it came from."""
        exclude = (source_conn_id,) if source_conn_id else ()
        return self._messaging.ws_broadcast(channel_id, payload, exclude)

    async def broadcast_all(
        self, payload: Any, exclude_conn_ids: Iterable[str] | None = None
    ) -> bool:
        """Send to every connection."""
        return self._messaging.ws_broadcast_all(payload, exclude_conn_ids or ())

    async def join_channel(self, conn_id: str, channel: str) -> bool:
        """Make a connection a member of a channel."""
        return self._messaging.ws_join_channel(conn_id, channel)

    async def leave_channel(self, conn_id: str, channel: str) -> bool:
        """End a membership."""
        return self._messaging.ws_leave_channel(conn_id, channel)

    async def close(self, conn_id: str, code: int = 1000, reason: str = "") -> bool:
        """Close a connection."""
        return self._messaging.ws_close(conn_id, code, reason)

    async def send_notification(self, title: str, content: str, **more: Any) -> bool:
        """Notify a connection, a channel, or everybody."""
        more = {key: value for key, value in more.items() if value}
        return self._messaging.send_notification(title, content, **more)

    async def ws_send(self, conn_id: str, payload: Any) -> bool:
        """Send ``payload`` as JSON, also when it is text."""
        return await self.send_message(conn_id, to_json(payload).decode())

    async def ws_broadcast(
        self, channel_id: str, payload: Any, source_conn_id: str = ""
    ) -> bool:
        """Broadcast ``payload`` as JSON, also when it is text."""
        text = to_json(payload).decode()
        return await self.broadcast_message(channel_id, text, source_conn_id)


def install_verbs(real: Any, messaging: Messaging) -> None:
    """Give the App ``real`` its WebSocket verbs."""
    verbs = Verbs(messaging)
    installed = {
        "_zmq_ws_bridge": verbs,
        "ws_send": verbs.ws_send,
        "ws_broadcast": verbs.ws_broadcast,
        "ws_broadcast_all": verbs.broadcast_all,
        "ws_join_channel": verbs.join_channel,
        "ws_leave_channel": verbs.leave_channel,
        "ws_close": verbs.close,
        "send_notification": verbs.send_notification,
    }
    for name, verb in installed.items():
        setattr(real, name, verb)
