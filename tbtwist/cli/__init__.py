"""What people type."""

from __future__ import annotations


def main() -> None:
    """Run ``tbtwist`` with the arguments of this process."""
    from tbtwist.cli.root import tbtwist

    tbtwist(prog_name="tbtwist")
