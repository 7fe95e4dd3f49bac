"""What is told of nginx, with a program that says what nginx would."""

from __future__ import annotations

from pathlib import Path

from twisted.internet import reactor  # noqa: TID251 - it has the threads
from twisted.trial.unittest import TestCase

from tbtwist.config.schema import Nginx
from tbtwist.errors import Refused
from tbtwist.roles.localnginx import LocalNginx
from tbtwist.webui.accounts import NginxFacts

SCRIPT = """#!/bin/sh
echo "$@" >> {log}
case "$1" in
  -v) echo "nginx version: nginx/1.22.1" >&2;;
  -T) test ! -e {broken} || {{ echo "[emerg] unknown directive" >&2; exit 1; }};;
esac
"""


class NginxTests(TestCase):
    """The nginx of this machine."""

    def setUp(self) -> None:
        """Put a program where nginx is looked for."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.log, self.broken = self.folder / "log", self.folder / "broken"
        program = self.folder / "nginx"
        program.write_text(SCRIPT.format(log=self.log, broken=self.broken))
        program.chmod(0o755)
        self.environ = {"NGINX_PATH": str(program)}

    def nginx(self, **settings: str) -> LocalNginx:
        """Return it."""
        return LocalNginx.of(reactor, self.environ, Nginx(**settings))  # type: ignore[arg-type]

    async def test_facts(self) -> None:
        """Its version is told, and whether the configured certificate is there."""
        key = self.folder / "key.pem"
        key.touch()
        facts = await self.nginx().facts()
        self.assertEqual(NginxFacts(installed=True, version="1.22.1"), facts)
        both = self.nginx(ssl_certificate=str(key), ssl_certificate_key=str(key))
        self.assertTrue((await both.facts()).ssl_available)

    async def test_reload(self) -> None:
        """It is asked to reload after its configuration was checked."""
        await self.nginx().reload()
        self.assertEqual("-T\n-s reload\n", self.log.read_text())

    async def test_missing(self) -> None:
        """Where there is none, that is told, and a reload is refused."""
        self.environ["NGINX_PATH"] = str(self.folder / "none")
        self.assertEqual(NginxFacts(), await self.nginx().facts())
        with self.assertRaises(Refused) as caught:
            await self.nginx().reload()
        self.assertEqual(501, caught.exception.status)

    async def test_broken(self) -> None:
        """A configuration that is broken is not loaded, and nginx' words are told."""
        self.broken.touch()
        with self.assertRaises(Refused) as caught:
            await self.nginx().reload()
        self.assertEqual(502, caught.exception.status)
        self.assertIn("unknown directive", caught.exception.message)
        self.assertEqual("-T\n", self.log.read_text())
