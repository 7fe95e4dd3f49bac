"""A configuration that was made for ToolBoxV2 works as it is."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.catalog import disassemble
from tbtwist.config.schema import UNUSED
from tbtwist.errors import ConfigError
from tests.config.reading_cases import HOME, reading

# Every key of R6.2, with the documented ws port.
_FILE = """\
environment: ${TB_ENV:development}
debug: ${TB_DEBUG:false}
log_level: INFO
data_dir: "${TB_DATA_DIR:}"
zmq:
  pub_endpoint: tcp://127.0.0.1:5555
  sub_endpoint: tcp://127.0.0.1:5556
  req_endpoint: tcp://127.0.0.1:5557
  rep_endpoint: tcp://127.0.0.1:5557
  http_to_ws_endpoint: tcp://127.0.0.1:5558
  hwm_send: 10000
  hwm_recv: 10000
  reconnect_interval: 1000
  heartbeat_interval: 5000
  cluster_secret: "${TB_CLUSTER_SECRET:}"
  heartbeat_period_s: 1.0
  heartbeat_timeout_s: 3.0
  takeover_jitter_max_s: 0.5
  status_period_s: 5.0
  topology_broadcast_period_s: 2.0
session:
  cookie_name: tb_session
  cookie_secret: "${TB_COOKIE_SECRET:}"
  cookie_max_age: 604800
  cookie_secure: true
  cookie_httponly: true
  cookie_samesite: Lax
  payload_fields: [user_id, session_id, level, spec, user_name, exp]
auth:
  jwt_algorithm: HS256
  jwt_expiry: 3600
  api_key_header: X-API-Key
  bearer_header: Authorization
  ws_require_auth: false
  ws_allow_anonymous: true
http_worker:
  host: ${TB_HTTP_HOST:127.0.0.1}
  port: ${TB_HTTP_PORT:8000}
  workers: ${TB_HTTP_WORKERS:4}
  max_concurrent: 100
  timeout: 30
  keepalive: 65
  backlog: 2048
  instance_prefix: http
ws_worker:
  host: ${TB_WS_HOST:127.0.0.1}
  port: ${TB_WS_PORT:8010}
  max_connections: 10000
  ping_interval: 30
  ping_timeout: 10
  max_message_size: 1048576
  compression: true
  instance_prefix: ws
nginx:
  enabled: true
  config_path: /etc/nginx/sites-available/toolboxv2
  symlink_path: /etc/nginx/sites-enabled/toolboxv2
  pid_file: /run/nginx.pid
  access_log: /var/log/nginx/toolboxv2_access.log
  error_log: /var/log/nginx/toolboxv2_error.log
  server_name: ${TB_NGINX_SERVER_NAME:localhost}
  listen_port: 80
  listen_ssl_port: 443
  ssl_enabled: false
  ssl_certificate: ""
  ssl_certificate_key: ""
  static_root: ${TB_STATIC_ROOT:./dist}
  static_enabled: true
  rate_limit_enabled: true
  rate_limit_zone: tb_limit
  rate_limit_rate: 10r/s
  rate_limit_burst: 20
  auth_rate_limit_rate: 5r/s
  auth_rate_limit_burst: 10
  upstream_http: tb_http_backend
  upstream_ws: tb_ws_backend
  max_http_workers: 8
  max_ws_workers: 4
manager:
  web_ui_enabled: true
  web_ui_host: 127.0.0.1
  web_ui_port: 9000
  control_socket: "${TB_DATA_DIR:~/.toolboxv2}/manager.sock"
  pid_file: "${TB_DATA_DIR:~/.toolboxv2}/manager.pid"
  log_file: "${TB_DATA_DIR:~/.toolboxv2}/manager.log"
  health_check_interval: 10
  restart_delay: 2
  max_restart_attempts: 5
  rolling_update_delay: 5
  live_dashboard_key: ""
  live_ui_host: 127.0.0.1
  live_ui_port: 5000
  live_ui_replicas: 2
toolbox:
  instance_id: tbv2_worker
  modules_preload: []
  api_prefix: /api
  api_allowed_mods: []
  auth_module: CloudM.Auth
  verify_session_func: validate_session
  open_modules: []
  default_required_level: 1
  level_requirements: {}
  admin_modules: [CloudM.Auth, ToolBox]
"""


class ExistingFileTests(SynchronousTestCase):
    """A complete file of ToolBoxV2."""

    def test_values(self) -> None:
        """Its values mean what they meant."""
        found = disassemble(reading(_FILE).settings)
        expected = {
            "debug": False,
            "data_dir": str(HOME / ".tbtwist"),
            "zmq.pub_endpoint": "tcp://127.0.0.1:5555",
            "session.cookie_secure": True,
            "auth.ws_require_auth": False,
            "http_worker.port": 8000,
            "http_worker.workers": 4,
            "http_worker.keepalive": 65.0,
            "ws_worker.port": 8010,
            "ws_worker.compression": True,
            "nginx.enabled": True,
            "nginx.static_root": "/srv/site/dist",
            "nginx.rate_limit_rate": "10r/s",
            "manager.web_ui_port": 9000,
        }
        self.assertEqual({key: found[key] for key in expected}, expected)

    def test_warnings(self) -> None:
        """Exactly the keys without effect are warned about."""
        warned = {warning.split(": ")[1] for warning in reading(_FILE).warnings}
        self.assertEqual(warned, UNUSED)

    def test_variables(self) -> None:
        """The specification's variables reach it through its placeholders."""
        environ = {
            "TB_ENV": "production",
            "TB_COOKIE_SECRET": "0" * 64,
            "TB_HTTP_PORT": "8100",
            "TB_WS_PORT": "8200",
        }
        found = reading(_FILE, environ).settings
        self.assertTrue(found.production)
        self.assertEqual(found.session.cookie_secret, "0" * 64)
        self.assertEqual((found.http_worker.port, found.ws_worker.port), (8100, 8200))

    def test_ws_port_among_the_http_ports(self) -> None:
        """The port 8001 that its generator wrote never worked and is refused."""
        text = _FILE.replace("TB_WS_PORT:8010", "TB_WS_PORT:8001")
        error = self.assertRaises(ConfigError, reading, text)
        self.assertIn("http-2 and ws-1 would both listen on 8001", str(error))
