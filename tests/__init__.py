"""The tests; ``trial tests`` runs them all.

Warnings that our own code causes are errors here, and so is everything that is left
open. Nobody can raise out of the garbage collector; what it finds is logged, and a
test in which an error is logged fails. That may be a later one than the culprit:
``PYTHONTRACEMALLOC=20`` tells where the thing was made.
"""

import sys
import tracemalloc
import warnings
from typing import Any

from hypothesis import settings
from twisted.logger import Logger
from twisted.python.failure import Failure

warnings.filterwarnings("error", module=r".*[/.]tbtwist[/.]")
warnings.filterwarnings("error", category=ResourceWarning)
settings.register_profile("ci", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("ci")

_log = Logger()
_other_hook = sys.unraisablehook


def _left_open(unraisable: Any) -> None:
    """Log what was collected and had not been closed."""
    if not isinstance(unraisable.exc_value, ResourceWarning):
        _other_hook(unraisable)
        return
    made = tracemalloc.get_object_traceback(unraisable.object)
    _log.failure(
        "left open; it was made here:\n{made}",
        failure=Failure(unraisable.exc_value),
        made="\n".join(made.format()) if made else "",
    )


sys.unraisablehook = _left_open
