"""Cookies of ToolBoxV2 here, and ours there: byte for byte.

What ToolBoxV2 0.1.28 made once is kept in ``toolboxv2_cookies.json``; where
``TB_TOOLBOXV2_PYTHON`` names a Python that has it, or this one has it, it is asked
again.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from typing import Any
from unittest import SkipTest

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tbtwist.auth.cookie import SessionCookies, decode
from tbtwist.auth.session import SessionData, authenticated_session
from tbtwist.auth.signing import Signer
from tbtwist.config.schema import Session
from tests.auth import toolboxv2_cookies

KEPT = json.loads(toolboxv2_cookies.KEPT.read_text(encoding="utf-8"))
SECRET: str = KEPT["question"]["secret"]
SIGNER = Signer([SECRET.encode()])
MADE_AT = 1_780_000_000.0
"""Before the kept cookies end, after the third of them has."""


def made(answer: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return value, header and payload of what ToolBoxV2 made."""
    return [(m["value"], m["header"], m["payload"]) for m in answer["made"]]


class MadeThereCase(SynchronousTestCase):
    """Checks cookies that ToolBoxV2 made."""

    def check_made(self, answer: dict[str, Any], now: float) -> None:
        """Check that its cookies are sessions here, and ours to the byte."""
        for value, _, payload in made(answer):
            session = decode(value, signer=SIGNER, now=now)
            if payload["exp"] <= now:
                self.assertIsNone(session)
                continue
            assert session is not None
            self.assertTrue(session.authenticated(now))
            self.assertEqual(json.loads(session.to_json_bytes()), payload)
            self.assertEqual(SIGNER.sign(session.to_json_bytes()), value)

    def check_headers(self, answer: dict[str, Any]) -> None:
        """Check that the headers are the same as ours."""
        cookies = SessionCookies(SIGNER, Session(), True)
        self.assertEqual(answer["logout"], cookies.clear_cookie())
        for value, header, payload in made(answer):
            session = SessionData(**payload)
            ours = cookies.set_cookie(session, payload["exp"] - 604_800)
            self.assertEqual(ours, header)
            self.assertTrue(header.startswith(f"tb_session={value}; "))


class KeptTests(MadeThereCase):
    """What ToolBoxV2 0.1.28 made once."""

    def test_read_here(self) -> None:
        """Who is logged in at ToolBoxV2's workers stays logged in at ours."""
        self.check_made(KEPT["answer"], MADE_AT)

    def test_headers(self) -> None:
        """Browsers are told the same, to the byte, also at a logout."""
        self.check_headers(KEPT["answer"])

    def test_another_secret(self) -> None:
        """Its cookies count under its secret only."""
        for value, _, _ in made(KEPT["answer"]):
            other = Signer([b"x" * 64])
            self.assertIsNone(decode(value, signer=other, now=MADE_AT))


class RealTests(MadeThereCase):
    """ToolBoxV2 itself, where it is installed."""

    def setUp(self) -> None:
        """Find a Python that has it."""
        self.python = os.environ.get("TB_TOOLBOXV2_PYTHON", "")
        if not self.python and importlib.util.find_spec("toolboxv2") is not None:
            self.python = sys.executable
        if not self.python:
            reason = "neither installed nor in TB_TOOLBOXV2_PYTHON"
            raise SkipTest(reason)

    def ask(self, sessions: list[Any], values: list[str]) -> dict[str, Any]:
        """Ask ToolBoxV2."""
        question = {"secret": SECRET, "sessions": sessions, "values": values}
        done = subprocess.run(
            [self.python, toolboxv2_cookies.__file__],
            input=json.dumps(question),
            capture_output=True,
            check=True,
            timeout=60,
            encoding="utf-8",
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def test_both_ways(self) -> None:
        """Its cookies are sessions here, and ours are sessions there."""
        session = authenticated_session(
            "ü-1", 'A "b"', level=2, exp=4e9, random=os.urandom, extra={"x": [1, None]}
        )
        header = SessionCookies(SIGNER, Session(), True).set_cookie(session, 3.9e9)
        value = header.partition(";")[0].partition("=")[2]
        forged = value[:-4] + "AAAA"
        answer = self.ask(KEPT["question"]["sessions"], [value, forged])
        self.check_made(answer, MADE_AT)
        self.check_headers(answer)
        ours, not_ours = answer["read"]
        self.assertEqual(ours["user_id"], "ü-1")
        self.assertEqual((ours["level"], ours["extra"]), (2, {"x": [1, None]}))
        self.assertEqual(answer["authenticated"], [True, False])
        self.assertIsNone(not_ours)

    @given(
        st.lists(
            st.fixed_dictionaries(
                {
                    "user_id": st.text(min_size=1, max_size=20),
                    "user_name": st.text(max_size=20),
                    "level": st.sampled_from([-1, 1, 2]),
                    "max_age": st.just(2_000_000_000),
                    "spec": st.text(max_size=5),
                    "note": st.recursive(
                        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                        lambda inner: st.lists(inner, max_size=3),
                    ),
                }
            ),
            min_size=20,
            max_size=20,
        )
    )
    @settings(max_examples=3, deadline=None)
    def test_any_session(self, sessions: list[dict[str, Any]]) -> None:
        """Whatever names people have, both write the same bytes."""
        answer = self.ask(sessions, [])
        for value, _, payload in made(answer):
            ours = SessionData(**payload).to_json_bytes()
            self.assertEqual(SIGNER.sign(ours), value)
