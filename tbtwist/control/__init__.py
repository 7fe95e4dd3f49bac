"""The manager's control socket: what travels, who answers, who asks."""

from tbtwist.control.paths import path_for

__all__ = ["path_for"]
