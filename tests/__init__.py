"""The tests; ``trial tests`` runs them all.

Warnings that our own code causes are errors here.
"""

import warnings

from hypothesis import settings

warnings.filterwarnings("error", module=r".*[/.]tbtwist[/.]")
# Blamed on whatever line the garbage collector happened to interrupt, so not ours
# to fail by; trial still prints it.
warnings.filterwarnings("default", category=ResourceWarning)
settings.register_profile("ci", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("ci")
