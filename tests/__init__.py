"""The tests; ``trial tests`` runs them all.

Warnings that our own code causes are errors here.
"""

import warnings

from hypothesis import settings

warnings.filterwarnings("error", module=r".*[/.]tbtwist[/.]")
settings.register_profile("ci", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("ci")
