"""The twistd plugin: ``twistd tbworkers``, and the reactor ``--reactor=uvloop``.

Every twistd run imports this file, so it imports next to nothing itself.
"""

from twisted.application.reactors import Reactor
from twisted.application.service import ServiceMaker

tbworkers = ServiceMaker(
    "tbtwist workers",
    "tbtwist.options",
    "One role of tbtwist: http, ws, broker, manager, or all in one process.",
    "tbworkers",
)

uvloop_reactor = Reactor(
    "uvloop", "tbtwist.uvreactor", "asyncio reactor over a uvloop loop"
)
