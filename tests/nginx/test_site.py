"""The text of the site."""

from __future__ import annotations

from hypothesis import given, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.catalog import FIELDS
from tbtwist.errors import ConfigError
from tests.nginx.sites import block, text_of

_TEXTS = sorted(
    key
    for key, field in FIELDS.items()
    if key.startswith("nginx.") and isinstance(field.default, str)
)
_TLS = {
    "nginx.ssl_enabled": True,
    "nginx.ssl_certificate": "/etc/ssl/site.pem",
    "nginx.ssl_certificate_key": "/etc/ssl/site.key",
}


class UpstreamTests(SynchronousTestCase):
    """The workers."""

    def test_every_worker(self) -> None:
        """Each worker is asked, the least busy one first; a dead one is passed over."""
        http = block(text_of(), "upstream tb_http_backend")
        self.assertIn("least_conn;", http)
        self.assertIn("server 127.0.0.1:8000 max_fails=3 fail_timeout=2s;", http)
        self.assertIn("server 127.0.0.1:8001 max_fails=3 fail_timeout=2s;", http)
        self.assertIn("keepalive 64;", http)
        ws = block(text_of(), "upstream tb_ws_backend")
        self.assertIn("server 127.0.0.1:8010 max_fails=3 fail_timeout=2s;", ws)

    def test_we_close_first(self) -> None:
        """Connections to workers end here before the worker would close them."""
        text = text_of({"http_worker.keepalive": 20.0})
        self.assertIn("keepalive_timeout 15s;", block(text, "upstream tb_http_backend"))

    def test_names(self) -> None:
        """Two sites in one nginx share no name when theirs are set."""
        text = text_of(
            {
                "nginx.upstream_http": "a",
                "nginx.upstream_ws": "b",
                "nginx.rate_limit_zone": "c",
            }
        )
        self.assertNotIn("tb_", text)

    def test_without_ws_workers(self) -> None:
        """Without ws workers there is no place for WebSockets."""
        text = text_of(ws=())
        self.assertNotIn("location ^~ /ws/", text)
        self.assertNotIn("upstream tb_ws_backend", text)

    def test_only_safe_retries(self) -> None:
        """What is not idempotent is never sent to two workers."""
        self.assertIn("proxy_next_upstream error timeout;", text_of())
        self.assertNotIn("non_idempotent", text_of())


class LocationTests(SynchronousTestCase):
    """Who gets what."""

    def test_api(self) -> None:
        """The API is limited; a login more so."""
        text = text_of()
        api = block(text, "location ^~ /api/")
        self.assertIn("limit_req zone=tb_limit burst=20 nodelay;", api)
        self.assertIn("proxy_pass http://tb_http_backend;", api)
        self.assertIn("zone=tb_limit:10m rate=10r/s;", text)
        login = block(text, "location ^~ /api/CloudM.Auth/")
        self.assertIn("limit_req zone=tb_limit_auth burst=10 nodelay;", login)
        self.assertEqual(login, block(text, "location = /validateSession"))

    def test_another_prefix(self) -> None:
        """``toolbox.api_prefix`` counts."""
        text = text_of({"toolbox.api_prefix": "/v1/"})
        self.assertIn("location ^~ /v1/ {", text)

    def test_no_limits(self) -> None:
        """Without rate limits none is mentioned."""
        self.assertNotIn("limit_req", text_of({"nginx.rate_limit_enabled": False}))

    def test_websockets(self) -> None:
        """An upgrade goes through, with everything else that workers are told."""
        ws = block(text_of(), "location ^~ /ws/")
        self.assertIn("proxy_set_header Upgrade $http_upgrade;", ws)
        self.assertIn("proxy_set_header Connection $tb_http_backend_connection;", ws)
        for header in ("Host", "X-Forwarded-For", "X-Forwarded-Proto", "X-Request-ID"):
            self.assertIn(f"proxy_set_header {header} ", ws)

    def test_longer_than_pings(self) -> None:
        """A connection may be silent for longer than between two pings."""
        text = text_of({"ws_worker.ping_interval": 7200.0})
        self.assertIn("proxy_read_timeout 14420s;", text)

    def test_figures_are_private(self) -> None:
        """``/metrics`` stays inside."""
        self.assertIn("return 404;", block(text_of(), "location = /metrics"))

    def test_body_limits(self) -> None:
        """Bodies may be as large as the worker takes them, for mounts as for others."""
        text = text_of(
            {
                "toolbox.wsgi_mounts": {"/shop/": "shop", "/": "site"},
                "http_worker.max_body_bytes": 1000,
                "http_worker.max_mount_body_bytes": 2000,
            }
        )
        self.assertIn("    client_max_body_size 1000;\n", text)
        for opening in ("location = /shop", "location ^~ /shop/", "location /"):
            self.assertIn("client_max_body_size 2000;", block(text, opening))

    def test_static_files(self) -> None:
        """Nginx serves the files itself, and no hidden ones."""
        text = text_of({"nginx.static_root": "/srv/my site"})
        self.assertIn('root "/srv/my site";', text)
        self.assertIn("try_files $uri $uri/ /index.html =404;", text)
        self.assertIn(r"location ~ /\.(?!well-known/) {", text)
        off = {"nginx.static_root": "/srv", "nginx.static_enabled": False}
        self.assertNotIn("/srv", text_of(off))

    def test_static_files_before_a_mount(self) -> None:
        """What is no file goes to the application that has ``/``."""
        text = text_of(
            {"nginx.static_root": "/srv", "toolbox.wsgi_mounts": {"/": "site"}}
        )
        self.assertIn("try_files $uri $uri/ @workers;", text)
        self.assertIn("proxy_pass", block(text, "location @workers"))


class TlsTests(SynchronousTestCase):
    """HTTPS."""

    def test_redirect(self) -> None:
        """HTTP is sent to HTTPS, to its port if that is an unusual one."""
        self.assertIn("return 308 https://$host$request_uri;", text_of(_TLS))
        text = text_of({**_TLS, "nginx.listen_ssl_port": 8443})
        self.assertIn("return 308 https://$host:8443$request_uri;", text)

    def test_modern(self) -> None:
        """Old versions of TLS are not offered; browsers learn to stay."""
        text = text_of(_TLS)
        self.assertIn("ssl_protocols TLSv1.2 TLSv1.3;", text)
        self.assertIn("Strict-Transport-Security", text)
        self.assertNotIn("Strict-Transport-Security", text_of())

    def test_http2(self) -> None:
        """HTTP/2 is switched on as the installed nginx wants it."""
        for version in ((), (1, 22, 1), (1, 25, 0)):
            text = text_of(_TLS, nginx_version=version)
            self.assertIn("listen 443 ssl http2;", text)
        text = text_of(_TLS, nginx_version=(1, 25, 1))
        self.assertIn("listen 443 ssl;\n", text)
        self.assertIn("http2 on;", text)

    def test_without_ipv6(self) -> None:
        """Where there is no IPv6, nginx does not try to listen on it."""
        self.assertIn("listen [::]:80;", text_of())
        self.assertNotIn("[::]", text_of(_TLS, ipv6=False))


class ProxyTests(SynchronousTestCase):
    """Load balancers in front, and logs."""

    def test_balancer(self) -> None:
        """The client's address and scheme come from balancers that are named."""
        text = text_of({"nginx.trusted_proxies": ("10.0.0.0/8", "fd00::/8")})
        self.assertIn("set_real_ip_from 10.0.0.0/8;", text)
        self.assertIn("real_ip_recursive on;", text)
        self.assertIn(
            "fd00::/8 1;",
            block(text, "geo $realip_remote_addr $tb_http_backend_balanced"),
        )
        self.assertNotIn("real_ip", text_of())

    def test_logs(self) -> None:
        """Logs go where they are wanted, without queries; or nowhere; or as usual."""
        text = text_of({"nginx.access_log": "/a.log", "nginx.error_log": "stderr"})
        self.assertIn('access_log "/a.log" tb_http_backend_log;', text)
        self.assertIn('error_log "stderr";', text)
        self.assertNotIn("$request_uri", text.split("log_format")[1].split(";")[0])
        self.assertIn("\n    access_log off;", text_of({"nginx.access_log": "off"}))
        self.assertNotIn("_log ", text_of().replace("access_log off", ""))


class RefusalTests(SynchronousTestCase):
    """What cannot stand in nginx's configuration is refused by name."""

    def refused(self, values: dict[str, object], **more: object) -> str:
        """Return the sentence."""
        return str(self.assertRaises(ConfigError, text_of, values, **more))

    def test_names_the_key(self) -> None:
        """The sentence says where the setting stands, which it is, and what is right."""
        line = list(FIELDS).index("nginx.server_name") + 1
        self.assertEqual(
            f"c.yaml:{line}:1: nginx.server_name: expected host names separated by spaces",
            self.refused({"nginx.server_name": "a; root /"}),
        )

    @given(st.sampled_from(_TEXTS), st.sampled_from(";{}\"'\\$#\n\x00"))
    def test_no_text_gets_through(self, key: str, character: str) -> None:
        """No setting of nginx can bring in a character that means something there."""
        self.assertIn(key, self.refused({**_TLS, key: f"/a{character}b"}))

    def test_every_other_text(self) -> None:
        """So it is with the application's names and paths."""
        cases: tuple[dict[str, object], ...] = (
            {"toolbox.api_prefix": "/a;b"},
            {"toolbox.api_prefix": "/"},
            {"toolbox.auth_module": "a b"},
            {"toolbox.wsgi_mounts": {"/a {": "x"}},
            {"toolbox.wsgi_mounts": {"/ws": "x"}},
            {"nginx.static_root": "here"},
            {"nginx.ssl_enabled": True},
            {"nginx.upstream_ws": "tb_http_backend"},
            {"nginx.rate_limit_zone": "tb_ws_backend"},
            {"nginx.trusted_proxies": ("10.0.0.1; deny all",)},
        )
        for values in cases:
            self.assertIn(next(iter(values)).split(".")[1], self.refused(values))

    def test_nobody_to_ask(self) -> None:
        """Without http workers there is no site."""
        self.assertIn("http_worker.workers", self.refused({}, http=()))
