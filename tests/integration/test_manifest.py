"""The specification's ``tb-manifest.yaml`` runs as it is."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.integration.sample import get
from tests.integration.system import System, folder

_EXAMPLE = Path(__file__).parents[2] / "etc" / "tb-manifest.yaml"


class ManifestTests(TestCase):
    """A folder with that file and nothing else."""

    timeout = 120

    async def start(self, **environ: str) -> System:
        """Run ``tbtwist start`` there, on free ports."""
        system = System(self, folder(self), None)
        system.config = system.root / "tb-manifest.yaml"
        manager = "\nmanager: {web_ui_port: 0}\n"
        system.config.write_text(_EXAMPLE.read_text() + manager)
        system.environ.update(TB_HTTP_PORT="0", TB_WS_PORT="0", **environ)
        status, said = await system.command("config", "validate")
        self.assertEqual(0, status, said)
        await system.start_again()
        return system

    async def test_development(self) -> None:
        """Two http workers and one ws worker serve."""
        system = await self.start()
        ports = await system.ports("http")
        self.assertEqual((2, 1), (len(ports), len(await system.ports("ws"))))
        for port in ports:
            url = f"http://127.0.0.1:{port}/health"
            self.assertEqual(200, (await system.in_thread(get, url))[0])

    async def test_production(self) -> None:
        """In production there are four."""
        system = await self.start(TB_ENV="production", TB_COOKIE_SECRET="s" * 64)
        self.assertEqual(4, len(await system.ports("http")))
