"""What makes a configuration one for the desktop."""

from __future__ import annotations


def variables(http_port: int | None, ws_port: int | None) -> dict[str, str]:
    """Return the environment variables for it: the mode, and one worker of each kind.

    A port that is None stays as it is configured; 8000 and 8001 by default.
    """
    ports = {"TB_HTTP_PORT": http_port, "TB_WS_PORT": ws_port}
    given = {name: str(port) for name, port in ports.items() if port is not None}
    return {**given, "TB_ENV": "tauri", "TB_HTTP_WORKERS": "1", "TB_WS_WORKERS": "1"}
