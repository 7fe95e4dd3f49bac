"""Which environment variables override which keys (R6.1), and the mode's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tbtwist.config.schema import Environment

VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "TB_ENV": ("environment",),
    "TB_DEBUG": ("debug",),
    "TOOLBOX_LOGGING_LEVEL": ("log_level",),
    "TB_DATA_DIR": ("data_dir",),
    "TB_COOKIE_SECRET": ("session.cookie_secret",),
    "CLOUDM_JWT_SECRET": ("auth.jwt_secret",),
    "TB_JWT_SECRET": ("auth.jwt_secret",),
    "CLERK_SECRET_KEY": ("auth.clerk_secret_key",),
    "TB_HTTP_HOST": ("http_worker.host",),
    "TB_HTTP_PORT": ("http_worker.port",),
    "TB_HTTP_WORKERS": ("http_worker.workers",),
    "TB_WS_HOST": ("ws_worker.host",),
    "TB_WS_PORT": ("ws_worker.port",),
    "TB_WS_WORKERS": ("ws_worker.workers",),
    "TB_UI_PORT": ("manager.web_ui_port",),
    "TB_NGINX_SERVER_NAME": ("nginx.server_name",),
    "TB_STATIC_ROOT": ("nginx.static_root", "http_worker.static_root"),
    "TB_OPEN_MODULES": ("toolbox.open_modules",),
    "TB_CLUSTER_SECRET": ("zmq.cluster_secret",),
    "LIVE_DASHBOARD_KEY": ("manager.live_dashboard_key",),
}

MODES: Final[Mapping[Environment, Mapping[str, object]]] = {
    "development": {
        "debug": True,
        "log_level": "DEBUG",
        "nginx.enabled": False,
        "session.cookie_secure": False,
    },
    "production": {
        "debug": False,
        "log_level": "INFO",
        "session.cookie_secure": True,
        "auth.ws_require_auth": True,
    },
    "tauri": {
        "nginx.enabled": False,
        "http_worker.host": "127.0.0.1",
        "http_worker.workers": 1,
        "ws_worker.host": "127.0.0.1",
        "ws_worker.port": 8001,
        "ws_worker.workers": 1,
    },
}
"""Defaults that depend on the mode; what a file or a variable says goes first."""


def desktop_shell(environ: Mapping[str, str]) -> bool:
    """Whether the desktop shell started us (R6.1): then the mode is ``tauri``."""
    return environ.get("TAURI_ENV", "").lower() == "true"
