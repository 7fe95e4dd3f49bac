"""A desktop program with the workers inside: no other process, no manager.

Start it with ``python -m examples.desktop.notes``; Ctrl-D ends it. A page in a
window of the program, or ``curl``, adds notes over HTTP; the program itself calls
the same functions without.
"""

from __future__ import annotations

import sys

from tbtwist import export
from tbtwist.tauri_integration import (
    tauri_call_module,
    tauri_start_workers,
    tauri_stop_workers,
)

NOTES: list[str] = []


@export(mod_name="Notes", name="add", level=0)
async def add(text: str) -> list[str]:
    """Answer ``/api/Notes/add?text=…``: add a note and return all of them."""
    NOTES.append(text)
    return NOTES


def main() -> None:
    """Serve until the end of the input."""
    started = tauri_start_workers()
    if started["status"] != "ok":
        sys.exit(started["message"])
    added = tauri_call_module("Notes", "add", {"text": "written by the program"})
    print("notes:", added["data"])
    print(f"try: curl '{started['http_url']}/api/Notes/add?text=tea'", flush=True)
    sys.stdin.read()
    tauri_stop_workers()
    print("notes at the end:", NOTES)


if __name__ == "__main__":
    main()
