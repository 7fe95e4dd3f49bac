"""The whole application as one WSGI callable, for waitress, gunicorn and others.

For example ``waitress-serve --call tbtwist.http.wsgi:from_environ``.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

from twisted.logger import Logger

from tbtwist.api.dispatch import Dispatcher
from tbtwist.api.health import Health
from tbtwist.api.verifying import NoKeys, TokenVerifier
from tbtwist.apps.application import Application
from tbtwist.apps.hooks import has_initial, run_initial
from tbtwist.apps.loading import load_application, load_callables, load_modules
from tbtwist.apps.pool import SyncPool
from tbtwist.apps.runner import LoopRunner
from tbtwist.auth.access import AccessRules
from tbtwist.auth.cookie import SessionCookies
from tbtwist.auth.identity import Identifier
from tbtwist.auth.jwks import Source
from tbtwist.auth.ledger import FILE_NAME, FileRevoker, Ledger, RevocationFile
from tbtwist.auth.secrets import load_secrets, token_secrets
from tbtwist.auth.signing import Signer
from tbtwist.auth.tokens import TokenRules
from tbtwist.config.loading import load
from tbtwist.config.schema import Settings
from tbtwist.http.application import WsgiApplication
from tbtwist.http.bridges import Bridge, loop_bridge
from tbtwist.http.mounts import Mounts

_log = Logger()

_SLACK_S = 5.0
"""How much longer a WSGI thread waits than the core's own deadline."""


def standalone(
    settings: Settings,
    *,
    app: Application | None = None,
    cwd: Path | None = None,
    bridge: Bridge | None = None,
) -> WsgiApplication:
    """Return a WSGI callable that needs no worker around it, and no bus.

    The application is the one that ``toolbox.app`` asks for, unless ``app`` is
    given, with the modules of ``toolbox.modules`` imported relative to ``cwd``.
    Coroutines run on one background loop, unless ``bridge`` says otherwise. Below
    the paths of ``toolbox.wsgi_mounts`` are those applications.

    Raises:
        ModuleFailed: the application cannot be made, or a module or mount imported.
        SecretUnusable: there is no usable session secret.
        StartFailed: a function of the application that runs at the start failed.
    """
    config = settings.http_worker
    cwd = cwd or Path.cwd()
    if app is None:
        app = load_application(settings, "wsgi", os.environ, cwd=cwd)
    else:
        load_modules(settings.toolbox.modules, app, cwd=cwd)
    app.pool = SyncPool(config.sync_threads, config.sync_queue)
    app.timeout_s = config.timeout
    data_dir = Path(settings.data_dir)
    keys = load_secrets(settings, data_dir=data_dir, random=secrets.token_bytes)
    cookies = SessionCookies(Signer(keys), settings.session, settings.cookie_secure)
    dispatcher = Dispatcher(
        app=app,
        runner=LoopRunner(),
        cookies=cookies,
        identifier=_identifier(settings, app, cookies, keys),
        rules=AccessRules.from_settings(settings),
        settings=settings,
        now=time.time,  # noqa: TID251 - this is the edge
        health=Health(worker_id="wsgi", pid=os.getpid(), ready=True),
    )
    way = loop_bridge(config.timeout + _SLACK_S) if bridge is None else bridge
    if has_initial(app):
        timeout_s = settings.manager.start_timeout_s
        way.wait(run_initial(app, LoopRunner(), timeout_s=timeout_s, cwd=cwd))
    found = load_callables(settings.toolbox.wsgi_mounts, cwd=cwd)
    return WsgiApplication(dispatcher, way, Mounts.of(found, dispatcher.owns))


def _identifier(
    settings: Settings,
    app: Application,
    cookies: SessionCookies,
    keys: tuple[bytes, ...],
) -> Identifier:
    """Return what identifies callers as a worker does, except by an issuer's keys.

    Those are fetched with Twisted, and here is none.
    """
    if Source.from_settings(settings.auth) is not None:
        _log.warn("without a worker, tokens of another issuer are not accepted")
    now = time.time  # noqa: TID251 - this is the edge
    path = Path(settings.data_dir) / FILE_NAME
    ledger = Ledger(RevocationFile(path, secrets.token_bytes), now)
    ledger.load()
    rules = TokenRules.from_settings(settings.auth, token_secrets(settings, keys))
    verifier = TokenVerifier(app, LoopRunner(), settings.toolbox, rules, NoKeys(), now)
    return Identifier.of(
        cookies,
        FileRevoker(ledger),
        verifier.verify,
        settings.auth,
        secrets.token_bytes,
    )


def from_environ(environ: Mapping[str, str] | None = None) -> WsgiApplication:
    """Return `standalone` for the configuration that a worker would find here.

    ``environ`` is the process's environment unless it is given.
    """
    environ = os.environ if environ is None else environ
    loaded = load(None, environ, cwd=Path.cwd(), home=Path.home())
    return standalone(loaded.settings)
