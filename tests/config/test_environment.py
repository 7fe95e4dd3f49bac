"""Environment variables that override the file (R6.1)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.catalog import FIELDS, disassemble
from tbtwist.config.environment import MODES, VARIABLES
from tests.config.reading_cases import reading

_SAMPLES = {
    "TB_ENV": ("production", "production"),
    "TB_DEBUG": ("1", True),
    "TOOLBOX_LOGGING_LEVEL": ("error", "ERROR"),
    "TB_DATA_DIR": ("/var/tb", "/var/tb"),
    "TB_COOKIE_SECRET": ("12345", "12345"),
    "CLOUDM_JWT_SECRET": ("12345", "12345"),
    "TB_JWT_SECRET": ("12345", "12345"),
    "CLERK_SECRET_KEY": ("12345", "12345"),
    "TB_HTTP_HOST": ("0.0.0.0", "0.0.0.0"),
    "TB_HTTP_PORT": ("8100", 8100),
    "TB_HTTP_WORKERS": ("4", 4),
    "TB_WS_HOST": ("::1", "::1"),
    "TB_WS_PORT": ("8200", 8200),
    "TB_WS_WORKERS": ("3", 3),
    "TB_UI_PORT": ("9100", 9100),
    "TB_NGINX_SERVER_NAME": ("example.org", "example.org"),
    "TB_STATIC_ROOT": ("/srv/dist", "/srv/dist"),
    "TB_OPEN_MODULES": ("Shop, Blog", ("Shop", "Blog")),
}


class OverrideTests(SynchronousTestCase):
    """Each variable reaches its keys."""

    def test_each_one(self) -> None:
        """Every variable with an effect overrides its keys, typed."""
        for name, (text, value) in _SAMPLES.items():
            found = disassemble(reading("", {name: text}).settings)
            for key in VARIABLES[name]:
                self.assertEqual(found[key], value, name)

    def test_two_names_of_one_secret(self) -> None:
        """Where both names of the token secret are set, TB_JWT_SECRET counts."""
        for names in (
            ("TB_JWT_SECRET", "CLOUDM_JWT_SECRET"),
            ("CLOUDM_JWT_SECRET", "TB_JWT_SECRET"),
        ):
            environ = {name: f"of {name}" for name in names}
            found = reading("", environ).settings.auth.jwt_secret
            self.assertEqual(found, "of TB_JWT_SECRET")

    def test_none_is_forgotten(self) -> None:
        """Every variable is either tried above or known to have no effect."""
        effective = {
            name
            for name, keys in VARIABLES.items()
            if any(FIELDS[key].has_effect for key in keys)
        }
        self.assertEqual(effective, set(_SAMPLES))

    def test_goes_before_the_file(self) -> None:
        """A variable goes before the file, by either name of the key."""
        found = reading("http_worker: {instances: 3}", {"TB_HTTP_WORKERS": "5"})
        self.assertEqual(found.settings.http_worker.workers, 5)

    def test_empty(self) -> None:
        """An empty variable counts as not set."""
        found = reading("debug: no", dict.fromkeys(VARIABLES, ""))
        self.assertIs(found.settings.debug, False)
        self.assertEqual(found.warnings, ())

    def test_without_effect(self) -> None:
        """A variable whose key has no effect is warned about, without its value."""
        found = reading(None, {"TB_CLUSTER_SECRET": "hunter2"})
        self.assertEqual(
            found.warnings,
            ("TB_CLUSTER_SECRET: zmq.cluster_secret: is accepted and has no effect",),
        )

    def test_modes_name_real_keys(self) -> None:
        """Every default of every mode belongs to a key that has an effect."""
        for defaults in MODES.values():
            for key in defaults:
                self.assertTrue(FIELDS[key].has_effect)
