"""The settings as frozen values, with the names and defaults of contract §6.

Every section is a struct; a key that is not a field here is unknown. A field
whose meaning has a unit says so in its name, except where ToolBoxV2 named it
before us. Fields in `UNUSED` are accepted and have no effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta
from typing_extensions import override

from tbtwist.config import patterns

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=0, le=1000)]
Positive = Annotated[int, Meta(ge=1)]
Natural = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(gt=0)]
SecondsOrNone = Annotated[float, Meta(ge=0)]
Level = Annotated[int, Meta(ge=-1, le=2)]
Sha256 = Annotated[str, Meta(pattern=patterns.SHA256)]
HttpsUrl = Annotated[str, Meta(pattern=patterns.HTTPS_URL)]
Network = Annotated[str, Meta(pattern=patterns.NETWORK)]
ListenPort = Annotated[int, Meta(ge=1, le=65535)]
Burst = Annotated[int, Meta(ge=0, le=1_000_000)]
ServerNames = Annotated[str, Meta(pattern=patterns.SERVER_NAMES)]
NginxName = Annotated[str, Meta(pattern=patterns.NGINX_NAME)]
NginxRate = Annotated[str, Meta(pattern=patterns.NGINX_RATE)]
NginxPath = Annotated[str, Meta(pattern=patterns.NGINX_PATH)]
NginxLog = Annotated[str, Meta(pattern=patterns.NGINX_LOG)]
NginxErrorLog = Annotated[str, Meta(pattern=patterns.NGINX_ERROR_LOG)]
ModuleName = Annotated[str, Meta(pattern=patterns.MODULE)]
MountedPlace = Annotated[str, Meta(pattern=patterns.MOUNTED)]
AppPlace = Annotated[str, Meta(pattern=patterns.APP)]
MountPath = Annotated[str, Meta(pattern=patterns.MOUNT_PATH)]
SlowClients = Literal["close", "drop_oldest", "conflate"]
Environment = Literal["development", "production", "tauri"]

KIB: Final = 1024
MIB: Final = 1024 * KIB


SECRET_NAMES: Final = frozenset(
    {
        "cookie_secret",
        "cluster_secret",
        "live_dashboard_key",
        "jwt_secret",
        "clerk_secret_key",
        "api_keys",
    }
)
"""Fields whose values appear in no message, no listing and no ``repr``."""


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One section of the file."""

    @override
    def __repr__(self) -> str:
        """Return the values, except secret ones."""
        shown = (
            f"{name}={_shown(name, getattr(self, name))}"
            for name in self.__struct_fields__
        )
        return f"{type(self).__name__}({', '.join(shown)})"


def _shown(name: str, value: object) -> str:
    return "'…'" if name in SECRET_NAMES and value else repr(value)


class Zmq(Section, frozen=True):
    """Where the bus' sockets are. An empty endpoint is ``ipc://`` in the data directory."""

    pub_endpoint: str = ""
    sub_endpoint: str = ""
    req_endpoint: str = ""
    rep_endpoint: str = ""
    http_to_ws_endpoint: str = ""
    hwm_send: Positive = 10_000
    hwm_recv: Positive = 10_000
    heartbeat_period_s: Seconds = 1.0
    heartbeat_timeout_s: Seconds = 3.0
    window_messages: Positive = 64
    window_bytes: Positive = 256 * KIB
    reconnect_interval: int = 1000
    heartbeat_interval: int = 5000
    cluster_secret: str = ""
    takeover_jitter_max_s: float = 0.5
    status_period_s: float = 5.0
    topology_broadcast_period_s: float = 2.0


class Session(Section, frozen=True):
    """The signed cookie (contract §3). ``cookie_secret``: comma-separated, newest first."""

    cookie_name: str = "tb_session"
    cookie_secret: str = ""
    cookie_max_age: Positive = 604_800
    cookie_secure: bool | None = None
    cookie_httponly: bool = True
    cookie_samesite: Literal["Lax", "Strict", "None"] = "Lax"
    cookie_domain: str = ""
    payload_fields: tuple[str, ...] = ()


class Auth(Section, frozen=True):
    """Identity beside the cookie. ``api_keys``: SHA-256 of each key by its name.

    ``jwt_secret`` is comma-separated; any of them verifies.
    """

    jwt_secret: str = ""
    jwks_url: HttpsUrl = ""
    jwks_ca_file: str = ""
    jwt_issuer: str = ""
    jwt_azp: tuple[str, ...] = ()
    jwt_audience: tuple[str, ...] = ()
    clerk_secret_key: str = ""
    api_keys: Mapping[str, Sha256] = {}

    api_key_header: str = "X-API-Key"
    bearer_header: str = "Authorization"
    ws_require_auth: bool | None = None
    ws_allow_anonymous: bool = True
    jwt_algorithm: str = "HS256"
    jwt_expiry: int = 3600


class HttpWorker(Section, frozen=True):
    """The http workers; worker i listens on ``port + i``."""

    host: str = "127.0.0.1"
    port: Port = 8000
    workers: Count = 2
    max_concurrent: Positive = 100
    max_queued: Positive = 1000
    sync_threads: Positive = 20
    sync_queue: Positive = 200
    wsgi_threads: Positive = 20
    timeout: Seconds = 30.0
    keepalive: Seconds = 75.0
    backlog: Positive = 2048
    drain_timeout_s: Seconds = 10.0
    drain_grace_s: Seconds = 0.5
    max_request_line_bytes: Positive = 8 * KIB
    max_headers: Positive = 64
    max_header_bytes: Positive = 32 * KIB
    header_timeout_s: Seconds = 10.0
    body_timeout_s: Seconds = 60.0
    min_body_bytes_per_s: Positive = 16 * KIB
    write_timeout_s: Seconds = 30.0
    max_body_bytes: Positive = 16 * MIB
    max_mount_body_bytes: Positive = 256 * MIB
    max_form_fields: Positive = 1000
    max_field_bytes: Positive = MIB
    max_part_header_bytes: Positive = 8 * KIB
    upload_memory_bytes: Positive = 64 * KIB
    static_root: str = ""
    lane: Literal["auto", "wsgi"] = "auto"
    trusted_proxies: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    access_log: bool = True
    access_log_format: Literal["auto", "text", "json"] = "auto"
    instance_prefix: str = "http"


class WsWorker(Section, frozen=True):
    """The ws workers; worker j listens on ``port + j``."""

    host: str = "127.0.0.1"
    port: Port = 8010
    workers: Count = 1
    max_connections: Positive = 10_000
    ping_interval: Seconds = 30.0
    ping_timeout: Seconds = 10.0
    max_message_size: Positive = MIB
    backlog: Positive = 2048
    drain_timeout_s: Seconds = 10.0
    compression: bool = False
    slow_clients: SlowClients = "close"
    channel_policies: Mapping[str, SlowClients] = {}
    max_waiting_bytes: Positive = 2 * MIB
    max_waiting_total_bytes: Positive = 256 * MIB
    handshake_timeout_s: Seconds = 10.0
    max_handshakes: Positive = 5000
    connects_per_s: Seconds = 20.0
    connects_burst: Positive = 200
    allowed_origins: tuple[str, ...] = ()
    wrap_replies: Literal["auto", "always", "never"] = "auto"
    resume_s: SecondsOrNone = 120.0
    history_size: Natural = 100
    history_bytes: Positive = 256 * KIB
    history_total_bytes: Positive = 16 * MIB
    history_s: Seconds = 300.0
    instance_prefix: str = "ws"


class Nginx(Section, frozen=True):
    """The generated nginx site. What could change its meaning is refused here."""

    enabled: bool = False
    server_name: ServerNames = "localhost"
    listen_port: ListenPort = 80
    listen_ssl_port: ListenPort = 443
    ssl_enabled: bool = False
    ssl_certificate: NginxPath = ""
    ssl_certificate_key: NginxPath = ""
    static_root: NginxPath = ""
    static_enabled: bool = True
    trusted_proxies: tuple[Network, ...] = ()
    config_path: NginxPath = ""
    symlink_path: NginxPath = ""
    pid_file: NginxPath = ""
    access_log: NginxLog = ""
    error_log: NginxErrorLog = ""
    rate_limit_enabled: bool = True
    rate_limit_zone: NginxName = "tb_limit"
    rate_limit_rate: NginxRate = "10r/s"
    rate_limit_burst: Burst = 20
    auth_rate_limit_rate: NginxRate = "5r/s"
    auth_rate_limit_burst: Burst = 10
    upstream_http: NginxName = "tb_http_backend"
    upstream_ws: NginxName = "tb_ws_backend"
    max_http_workers: int = 8
    max_ws_workers: int = 4


class Manager(Section, frozen=True):
    """The manager and its supervision."""

    web_ui_enabled: bool = True
    web_ui_host: str = "127.0.0.1"
    web_ui_port: Port = 9000
    control_socket: str = ""
    pid_file: str = ""
    log_file: str = ""
    health_check_interval: float = 10.0
    start_timeout_s: Seconds = 30.0
    stop_timeout_s: Seconds = 15.0
    backoff_initial_s: Seconds = 0.2
    backoff_max_s: Seconds = 30.0
    stable_after_s: Seconds = 30.0
    max_restart_attempts: Positive = 5
    probe_path: str = "/health"
    restart_delay: float = 2.0
    rolling_update_delay: float = 5.0
    live_dashboard_key: str = ""
    live_ui_host: str = "127.0.0.1"
    live_ui_port: Port = 5000
    live_ui_replicas: int = 2


class Toolbox(Section, frozen=True):
    """The application (contract §9) and who may call what (contract §2)."""

    app: AppPlace = "tbtwist"
    modules: tuple[ModuleName, ...] = ()
    wsgi_mounts: Mapping[MountPath, MountedPlace] = {}
    instance_id: str = "tbv2_worker"
    modules_preload: tuple[str, ...] = ()
    api_prefix: str = "/api"
    api_allowed_mods: tuple[str, ...] = ()
    auth_module: str = "CloudM.Auth"
    verify_session_func: str = "validate_session"
    open_modules: tuple[str, ...] = ()
    default_required_level: Level = 1
    level_requirements: Mapping[str, Level] = {}
    admin_modules: tuple[str, ...] = ("CloudM.Auth", "ToolBox")


class Compat(Section, frozen=True):
    """Switches back to what ToolBoxV2 really does."""

    legacy_access: bool = False


class Bus(Section, frozen=True):
    """Which engine carries the bus."""

    engine: Literal["zeromq", "memory"] = "zeromq"


class Logging(Section, frozen=True):
    """The files in ``logs/`` of the data directory, one a process.

    A file is set aside when it is full and when its time is over; the oldest are
    removed.
    """

    format: Literal["text", "json"] = "text"
    max_file_bytes: Annotated[int, Meta(ge=4 * KIB)] = 10 * MIB
    rotate_hours: Natural = 24
    kept_files: Positive = 14
    kept_days: Natural = 14
    audit_kept_days: Natural = 365


class Settings(Section, frozen=True):
    """Everything. ``data_dir`` is absolute once it has been loaded."""

    environment: Environment = "development"
    debug: bool = False
    log_level: Literal["DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL"] = "INFO"
    data_dir: str = ""
    geoip_db_path: str = ""
    logging: Logging = Logging()
    bus: Bus = Bus()
    zmq: Zmq = Zmq()
    session: Session = Session()
    auth: Auth = Auth()
    http_worker: HttpWorker = HttpWorker()
    ws_worker: WsWorker = WsWorker()
    nginx: Nginx = Nginx()
    manager: Manager = Manager()
    toolbox: Toolbox = Toolbox()
    compat: Compat = Compat()

    @property
    def production(self) -> bool:
        """Whether the strict rules apply."""
        return self.environment == "production"

    @property
    def cookie_secure(self) -> bool:
        """Return the configured flag, or by default: production only."""
        configured = self.session.cookie_secure
        return self.production if configured is None else configured


ALIASES: Final[Mapping[str, str]] = {
    "http_worker.instances": "http_worker.workers",
    "ws_worker.instances": "ws_worker.workers",
}

UNUSED: Final = frozenset(
    {
        "session.payload_fields",
        "auth.jwt_algorithm",
        "auth.jwt_expiry",
        "zmq.rep_endpoint",
        "zmq.reconnect_interval",
        "zmq.heartbeat_interval",
        "zmq.cluster_secret",
        "zmq.takeover_jitter_max_s",
        "zmq.status_period_s",
        "zmq.topology_broadcast_period_s",
        "http_worker.instance_prefix",
        "ws_worker.instance_prefix",
        "nginx.max_http_workers",
        "nginx.max_ws_workers",
        "manager.pid_file",
        "manager.log_file",
        "manager.control_socket",
        "manager.rolling_update_delay",
        "manager.live_dashboard_key",
        "manager.live_ui_host",
        "manager.live_ui_port",
        "manager.live_ui_replicas",
        "toolbox.modules_preload",
    }
)
