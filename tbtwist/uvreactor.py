"""The ``uvloop`` reactor: Twisted's asyncio reactor over a uvloop loop.

``twistd --reactor=uvloop`` and ``trial --reactor=uvloop`` find it through the
plugin; the roles install it by themselves (ADR 0002).
"""

from __future__ import annotations

import asyncio
import sys


def install() -> None:
    """Install the reactor; nothing may have installed another one before."""
    import uvloop
    from twisted.internet import asyncioreactor

    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    asyncioreactor.install(loop)


def install_best() -> None:
    """Install uvloop's reactor where there is uvloop, unless there is a reactor.

    Without uvloop (Windows) it is the asyncio reactor. A reactor that was chosen
    with ``--reactor``, or by trial, stays.
    """
    if "twisted.internet.reactor" in sys.modules:
        return
    from importlib.util import find_spec

    if find_spec("uvloop") is not None:
        install()
        return
    from twisted.internet import asyncioreactor

    asyncioreactor.install(asyncio.new_event_loop())
