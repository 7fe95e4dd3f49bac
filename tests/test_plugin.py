"""The twistd plugin: found, light, and with a reactor for trial."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from twisted.application.reactors import IReactorInstaller
from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

LIGHT = """
import json, sys
import twisted.plugins.tbworkers_plugin
heavy = [m for m in ("twisted.internet.reactor", "tbtwist", "zmq") if m in sys.modules]
print(json.dumps(heavy))
"""


class PluginTests(SynchronousTestCase):
    """``twistd`` with tbtwist installed."""

    def test_listed(self) -> None:
        """``twistd`` knows the command tbworkers."""
        makers: list[Any] = list(getPlugins(IServiceMaker))
        ours = [m for m in makers if m.tapname == "tbworkers"]
        self.assertEqual(["tbtwist.options"], [m.module for m in ours])

    def test_uvloop_reactor(self) -> None:
        """``--reactor=uvloop`` is there for trial and twistd."""
        installers: list[Any] = list(getPlugins(IReactorInstaller))
        ours = [i for i in installers if i.shortName == "uvloop"]
        self.assertEqual(["tbtwist.uvreactor"], [i.moduleName for i in ours])

    def test_light(self) -> None:
        """Importing the plugin costs other twistd users neither reactor nor us."""
        done = subprocess.run(
            [sys.executable, "-c", LIGHT],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        self.assertEqual([], json.loads(done.stdout))
