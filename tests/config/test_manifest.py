"""``tb-manifest.yaml`` in all its shapes."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.reading import Reading
from tbtwist.config.schema import Settings
from tbtwist.errors import ConfigError
from tests.config.reading_cases import FOLDER, reading

_EXAMPLE = (Path(__file__).parents[2] / "etc" / "tb-manifest.yaml").read_text()
_SCHEMA = """\
manifest_version: "1.0"
app:
  name: Shop
  version: 1.2.3
  instance_id: shop
  environment: production
  log_level: WARNING
workers:
  http:
    - {name: http_main, host: 0.0.0.0, port: 8100, workers: 4, timeout: 20, ssl: false}
    - {name: http_more, port: 8200}
  websocket:
    - {name: ws_main, port: 8150, max_connections: 500, compression: true}
mods:
  installed: {CloudM: "1"}
  open_modules: [Shop]
services:
  enabled: [workers, db]
  zmq: {hwm_send: 5}
  manager: {web_ui_port: 9100}
auth:
  provider: custom
  session: {cookie_name: shop}
  ws_require_auth: false
paths: {data_dir: data, dist_dir: "${TB_DIST_DIR:./dist}"}
toolbox: {api_prefix: /v1, timeout_seconds: 60}
database: {mode: LC}
environments:
  staging: {"nginx.enabled": false}
  production:
    "nginx.enabled": true
    "workers.http[0].workers": 6
"""


def read(text: str, **environ: str) -> Reading:
    """Return what a manifest means."""
    return reading(dedent(text), environ, "tb-manifest.yaml")


def settings(text: str, **environ: str) -> Settings:
    """Return the settings."""
    return read(text, **environ).settings


def counts(found: Settings) -> tuple[int, int]:
    """Return how many http and ws workers there will be."""
    return found.http_worker.workers, found.ws_worker.workers


class DocumentedTests(SynchronousTestCase):
    """The shape of the specification."""

    def test_example(self) -> None:
        """The specification's example means what it says, in each mode."""
        found = read(_EXAMPLE)
        self.assertEqual((), found.warnings)
        self.assertEqual((2, 1), counts(found.settings))
        self.assertEqual(8000, found.settings.http_worker.port)
        self.assertEqual(8010, found.settings.ws_worker.port)
        secret = "x" * 64
        produced = settings(_EXAMPLE, TB_ENV="production", TB_COOKIE_SECRET=secret)
        self.assertEqual((4, 1), counts(produced))

    def test_recognised(self) -> None:
        """It is one by its name, or by what is in it."""
        self.assertEqual((2, 1), counts(reading(_EXAMPLE).settings))
        self.assertEqual(3, counts(settings("http_worker: {instances: 3}"))[0])

    def test_variables_go_first(self) -> None:
        """A variable goes before ``environments``, and that before the rest."""
        found = settings(_EXAMPLE, TB_ENV="production", TB_HTTP_WORKERS="5")
        self.assertEqual(5, found.http_worker.workers)
        self.assertEqual(8100, settings(_EXAMPLE, TB_HTTP_PORT="8100").http_worker.port)

    def test_switched_off(self) -> None:
        """``enabled: false`` means no workers, unless the mode switches them on."""
        text = """
            workers: {ws: {enabled: false, instances: 3}, http: {enabled: "${ON:yes}"}}
            environments: {production: {workers.ws.enabled: true}}
            """
        self.assertEqual((2, 0), counts(settings(text)))
        self.assertEqual((2, 3), counts(settings(text, TB_ENV="production")))
        self.assertEqual((0, 0), counts(settings(text, ON="no")))

    def test_every_key(self) -> None:
        """A worker's group takes every key that ``config.yaml`` has for it."""
        found = settings("workers: {http: {timeout: 5, static_root: files}}")
        self.assertEqual(5.0, found.http_worker.timeout)
        self.assertEqual(str(FOLDER / "files"), found.http_worker.static_root)


class SchemaTests(SynchronousTestCase):
    """The shape of ToolBoxV2's own schema."""

    def test_all_of_it(self) -> None:
        """Everything that means something arrives; the mode's changes count."""
        found = read(_SCHEMA).settings
        self.assertEqual("production", found.environment)
        self.assertEqual("WARNING", found.log_level)
        self.assertEqual("shop", found.toolbox.instance_id)
        self.assertEqual(
            ("0.0.0.0", 8100), (found.http_worker.host, found.http_worker.port)
        )
        self.assertEqual(
            (6, 20.0), (found.http_worker.workers, found.http_worker.timeout)
        )
        self.assertEqual(
            (8150, 500), (found.ws_worker.port, found.ws_worker.max_connections)
        )
        self.assertEqual(("Shop",), found.toolbox.open_modules)
        self.assertEqual((5, 9100), (found.zmq.hwm_send, found.manager.web_ui_port))
        self.assertEqual(
            ("shop", False), (found.session.cookie_name, found.auth.ws_require_auth)
        )
        self.assertEqual("/v1", found.toolbox.api_prefix)
        self.assertEqual(str(FOLDER / "data"), found.data_dir)
        self.assertEqual(str(FOLDER / "dist"), found.nginx.static_root)
        self.assertTrue(found.nginx.enabled)

    def test_other_mode(self) -> None:
        """What is for another mode does not count."""
        self.assertEqual(4, settings(_SCHEMA, TB_ENV="development").http_worker.workers)

    def test_warnings(self) -> None:
        """What has no effect is told, once for each part."""
        told = [line.partition(": ")[2] for line in read(_SCHEMA).warnings]
        self.assertEqual(
            sorted(
                [
                    "manifest_version: is accepted and has no effect",
                    "app: no effect here: name, version",
                    "http_worker: no effect here: name, ssl",
                    "workers.http[1]: is accepted and has no effect",
                    "ws_worker: no effect here: name",
                    "mods: no effect here: installed",
                    "services: no effect here: enabled",
                    "auth: no effect here: provider",
                    "toolbox: no effect here: timeout_seconds",
                    "database: no effect here: mode",
                ]
            ),
            sorted(told),
        )


class FlatTests(SynchronousTestCase):
    """The layout of ``config.yaml``."""

    def test_sections(self) -> None:
        """Its sections count, with ``environments`` beside them in either form."""
        text = """
            environment: production
            http_worker: {instances: 3}
            environments:
              production:
                http_worker.workers: 5
                workers: {ws: {instances: 2}}
            """
        self.assertEqual((5, 2), counts(settings(text)))

    def test_placeholder_chooses_the_mode(self) -> None:
        """``environment: ${MODE:…}`` chooses as well."""
        text = """
            environment: "${MODE:development}"
            environments: {production: {debug: true}, development: {debug: false}}
            """
        self.assertFalse(settings(text).debug)
        self.assertTrue(settings(text, MODE="production").debug)


class ProblemTests(SynchronousTestCase):
    """What is wrong is told with its place."""

    def only(self, text: str) -> str:
        """Return the one problem."""
        error = self.assertRaises(ConfigError, read, text)
        self.assertEqual(1, len(error.problems), error)
        return str(error).removeprefix("tb-manifest.yaml:")

    def test_places(self) -> None:
        """Line and column are the manifest's."""
        cases = {
            "workers: {http: {prt: 1}}": "1:18: http_worker.prt: unknown key; did you mean port?",
            "workers: {htp: {port: 1}}": "1:11: workers.htp: expected http or ws",
            "workers: 5": "1:10: workers: expected keys below it, indented",
            "workers: {http: 5}": "1:17: http_worker: expected keys below it, indented",
            "workers: {ws: {enabled: maybe}}": "1:25: ws_worker.enabled: expected true or false",
            "environments: [a]": "1:15: environments: expected keys below it, indented",
            "environments: {production: 1}": "1:28: production: expected keys below it",
            "environment: prod": "1:14: environment: expected one of",
            "wrokers: {}": "1:1: wrokers: unknown key",
        }
        for text, expected in cases.items():
            self.assertTrue(self.only(text).startswith(expected), self.only(text))

    def test_environments_are_checked(self) -> None:
        """A wrong value for the mode that counts is told; others wait for their turn."""
        text = "environments: {production: {debug: x}}"
        self.assertTrue(settings(text).debug)
        error = self.assertRaises(ConfigError, read, text, TB_ENV="production")
        self.assertIn("1:36: debug: expected true or false", str(error))

    def test_empty_parts(self) -> None:
        """Empty parts mean nothing."""
        found = settings("workers:\n  http:\nenvironments:\n  production:\napp:\n")
        self.assertEqual((2, 1), counts(found))
