"""The last line of defence, and the sample."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tbtwist.config.loading import examine
from tbtwist.config.schema import Nginx, Settings
from tbtwist.nginx.addresses import upstream_addresses
from tbtwist.nginx.rendering import render
from tbtwist.nginx.site import Site, site_of

_PROJECT = Path(__file__).parents[2]


class RenderingTests(SynchronousTestCase):
    """From values to text."""

    def test_unchecked_values(self) -> None:
        """Even a site that nobody has checked brings no harm into the text."""
        settings = Settings(nginx=Nginx(server_name="a; root /"))
        self.assertRaises(ValueError, render, Site(settings=settings, http=("a:1",)))

    def test_sample_is_up_to_date(self) -> None:
        """``nginx/site.conf`` is what its configuration makes.

        If not: ``tbtwist nginx-config -c nginx/config.yaml > nginx/site.conf``.
        """
        folder = _PROJECT / "nginx"
        loaded = examine(str(folder / "config.yaml"), {}, cwd=_PROJECT, home=folder)
        http, ws = upstream_addresses(loaded.settings, None)
        site = Site(settings=loaded.settings, http=http, ws=ws)
        made = render(site_of(site, loaded.origins))
        self.assertEqual((folder / "site.conf").read_text(), made)
