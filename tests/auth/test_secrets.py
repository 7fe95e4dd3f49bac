"""Secrets: demanded in production, made once elsewhere, never shown."""

from __future__ import annotations

import secrets as stdlib_secrets
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.auth.secrets import FILE_NAME, load_secrets, token_secrets
from tbtwist.config.schema import Auth, Environment, Session, Settings
from tbtwist.errors import SecretUnusable

GOOD = "g" * 64
OLD = "o" * 40

_CHILD = """
import secrets, sys
from pathlib import Path
from tbtwist.auth.secrets import load_secrets
from tbtwist.config.schema import Settings
sys.stdin.readline()
found = load_secrets(Settings(), data_dir=Path(sys.argv[1]), random=secrets.token_bytes)
print(found[0].decode())
"""


def settings(environment: Environment, secret: str = "") -> Settings:
    """Return settings with a cookie secret."""
    return Settings(environment=environment, session=Session(cookie_secret=secret))


class ConfiguredTests(SynchronousTestCase):
    """A configured list is used as it is, if it is good enough."""

    def load(self, environment: Environment, secret: str) -> tuple[bytes, ...]:
        """Load without any data directory to fall back on."""
        return load_secrets(
            settings(environment, secret),
            data_dir=Path("/nonexistent"),
            random=stdlib_secrets.token_bytes,
        )

    def test_rotation_list(self) -> None:
        """Comma-separated secrets keep their order; blanks do not count."""
        found = self.load("production", f" {GOOD} , {OLD},")
        self.assertEqual(found, (GOOD.encode(), OLD.encode()))

    def test_production_needs_one(self) -> None:
        """Production refuses to start without a secret and says what to set."""
        error = self.assertRaises(SecretUnusable, self.load, "production", " , ")
        self.assertIn("TB_COOKIE_SECRET", str(error))
        self.assertIn("64", str(error))

    def test_production_needs_a_long_one(self) -> None:
        """63 characters are too few in production, 64 are enough."""
        error = self.assertRaises(SecretUnusable, self.load, "production", "k" * 63)
        self.assertIn("63", str(error))
        self.assertNotIn("kkk", str(error))
        self.assertEqual(self.load("production", GOOD), (GOOD.encode(),))

    def test_a_weak_rotated_one(self) -> None:
        """A weak secret at the end of the list would let forgers in: refused."""
        self.assertRaises(SecretUnusable, self.load, "production", f"{GOOD},short")

    def test_the_published_constant(self) -> None:
        """The constant that everyone can read in ToolBoxV2's source is refused."""
        constant = "dev_secret_" + 40 * "x"
        self.assertRaises(SecretUnusable, self.load, "development", constant)
        self.assertRaises(SecretUnusable, self.load, "production", f"{GOOD},{constant}")

    def test_development_takes_shorter_ones(self) -> None:
        """32 characters, ToolBoxV2's minimum, are enough outside production."""
        self.assertEqual(self.load("development", "k" * 32), (b"k" * 32,))
        self.assertRaises(SecretUnusable, self.load, "tauri", "k" * 31)


class KeptTests(SynchronousTestCase):
    """Development makes a secret and keeps it."""

    def setUp(self) -> None:
        """Make a data directory."""
        self.data_dir = Path(self.mktemp())
        self.data_dir.mkdir()
        self.file = self.data_dir / FILE_NAME

    def load(self, environment: Environment = "development") -> bytes:
        """Load with an empty configuration."""
        (secret,) = load_secrets(
            settings(environment),
            data_dir=self.data_dir,
            random=stdlib_secrets.token_bytes,
        )
        return secret

    def test_made_once(self) -> None:
        """The second start finds the secret of the first, also as a desktop app."""
        first = self.load()
        self.assertGreaterEqual(len(first), 64)
        self.assertEqual(self.load("tauri"), first)
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)
        self.assertEqual(list(self.data_dir.iterdir()), [self.file])

    def test_not_a_constant(self) -> None:
        """Two data directories have two secrets."""
        first = self.load()
        self.file.unlink()
        self.assertNotEqual(self.load(), first)

    def test_production_makes_none(self) -> None:
        """Production does not fall back on a generated secret, even if there is one."""
        self.load()
        self.assertRaises(SecretUnusable, self.load, "production")

    def test_open_to_others(self) -> None:
        """A secret that others can read is refused, with what to do about it."""
        self.load()
        self.file.chmod(0o644)
        error = self.assertRaises(SecretUnusable, self.load)
        self.assertIn("chmod 600", str(error))

    def test_damaged(self) -> None:
        """A truncated file is not used to sign anything."""
        self.file.touch(0o600)
        error = self.assertRaises(SecretUnusable, self.load)
        self.assertIn("damaged", str(error))

    def test_not_a_file(self) -> None:
        """A link or a folder in its place is refused."""
        self.file.symlink_to("elsewhere")
        (self.data_dir / "elsewhere").write_text("e" * 64)
        self.assertRaises(SecretUnusable, self.load)
        self.file.unlink()
        self.file.mkdir()
        self.assertRaises(SecretUnusable, self.load)

    def test_no_directory(self) -> None:
        """A data directory that is not there is a sentence, not a traceback."""
        self.data_dir.rmdir()
        error = self.assertRaises(SecretUnusable, self.load)
        self.assertIn("No such file", str(error))

    def test_several_processes_at_once(self) -> None:
        """Workers that start at the same moment sign with the same secret."""
        command = [sys.executable, "-c", _CHILD, str(self.data_dir.absolute())]
        children = [
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(4)
        ]
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        answers = {child.communicate(timeout=60)[0].strip() for child in children}
        self.assertEqual(answers, {self.file.read_text()})
        self.assertEqual(list(self.data_dir.iterdir()), [self.file])


class TokenTests(SynchronousTestCase):
    """The secrets of Bearer tokens."""

    def load(self, secret: str) -> tuple[bytes, ...]:
        """Return the secrets of tokens where cookies have one of their own."""
        configured = Settings(auth=Auth(jwt_secret=secret))
        return token_secrets(configured, (b"cookie",))

    def test_own(self) -> None:
        """Configured ones count instead of the cookie's, all of them."""
        self.assertEqual(self.load(f"{GOOD}, {OLD}"), (GOOD.encode(), OLD.encode()))

    def test_the_cookies(self) -> None:
        """Without one of their own, tokens are verified with the cookie's."""
        for nothing in ("", " , "):
            self.assertEqual(self.load(nothing), (b"cookie",))

    def test_short(self) -> None:
        """A short one is refused, without being shown."""
        error = self.assertRaises(SecretUnusable, self.load, f"{GOOD},hunter2")
        self.assertIn("auth.jwt_secret", str(error))
        self.assertNotIn("hunter2", str(error))
