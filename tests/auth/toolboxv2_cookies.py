"""Run by a Python that has ToolBoxV2: its session module makes and reads cookies.

``PYTHON toolboxv2_cookies.py < QUESTION``, a JSON object with ``secret``,
``sessions`` (arguments of its ``authenticated_session``) and ``values`` (cookies
to read), writes a JSON object with ``made`` (value, Set-Cookie header and payload
of each session), ``read`` (payloads, or null) and ``logout``.

``toolboxv2_cookies.json`` keeps a question with the answer of toolboxv2 0.1.28:
in a virtual environment outside of the project, ``pip install toolboxv2==0.1.28``,
then ``python tests/auth/toolboxv2_cookies.py --keep``.

The module is loaded by its file, for importing the package itself unpacks and
writes files.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

KEPT = Path(__file__).with_suffix(".json")
_QUESTION = {
    "secret": "a secret of the tests, not of anybody " + "0123456789" * 3,
    "sessions": [
        {"user_id": "u1", "user_name": "Ann", "level": 1, "max_age": 2_000_000_000},
        {
            "user_id": "üser-2",
            "user_name": 'Bo "the root" Ω \U0001f511',
            "level": -1,
            "max_age": 2_000_000_000,
            "provider_user_id": "google|7",
            "spec": "ws",
            "client_ip": "2001:db8::1",
            "created_at": 1_700_000_000.25,
            "nested": {"list": [1, 2.5, None, True], "empty": {}},
        },
        {"user_id": "u3", "user_name": "gone", "max_age": -60},
    ],
    "values": [],
}


def load() -> Any:
    """Return ToolBoxV2's session module; SystemExit if it is not installed."""
    found = importlib.util.find_spec("toolboxv2")
    if found is None or found.origin is None:
        raise SystemExit("toolboxv2 is not installed")
    path = Path(found.origin).parent / "utils/workers/session.py"
    spec = importlib.util.spec_from_file_location("toolboxv2_session", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Return what ToolBoxV2 makes of a question."""
    module = load()
    cookies = module.SignedCookieSession(question["secret"], secure=True)
    made = []
    for arguments in question["sessions"]:
        session = module.SessionData.authenticated_session(**arguments)
        made.append(
            {
                "value": cookies.encode(session),
                "header": cookies.create_cookie_header(session, 604_800),
                "payload": session.to_dict(),
            }
        )
    read = [cookies.decode(value) for value in question["values"]]
    return {
        "made": made,
        "read": [each and each.to_dict() for each in read],
        "authenticated": [bool(each and each.is_authenticated) for each in read],
        "logout": cookies.create_logout_cookie_header(),
    }


def main() -> None:
    """Answer standard input, or keep a question and its answer."""
    if "--keep" in sys.argv:
        kept = {"question": _QUESTION, "answer": answer(_QUESTION)}
        KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    else:
        json.dump(answer(json.load(sys.stdin)), sys.stdout)


if __name__ == "__main__":
    main()
