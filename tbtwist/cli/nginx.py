"""``nginx-config`` and ``nginx-reload``: the site in front of the workers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tbtwist.cli.failures import Failure
from tbtwist.cli.options import World, common_options, config_file, world

if TYPE_CHECKING:
    from tbtwist.config.loading import Loaded
    from tbtwist.config.schema import Settings
    from tbtwist.nginx.installing import Place
    from tbtwist.nginx.program import Program
    from tbtwist.nginx.site import Site
    from tbtwist.status import Status

_USUAL: Final = "(the usual place)"
_ETC: Final = Path("/etc/nginx")
_LOOPBACK: Final = "127.0.0.1"


@click.command("nginx-config")
@common_options
@click.option(
    "--write",
    "target",
    metavar="[PATH]",
    is_flag=False,
    flag_value=_USUAL,
    help="Install it: to PATH, to nginx.config_path, or to where nginx looks for sites.",
)
@click.pass_context
def nginx_config(ctx: click.Context, target: str | None) -> None:
    """Print the nginx site for these workers; --write installs it.

    What is installed is checked by nginx; if that refuses it, everything is as it
    was. nginx-reload makes it count.
    """
    from tbtwist.nginx.rendering import render

    here = world(ctx)
    loaded = here.examine(config_file(ctx))
    program = _program(here)
    text = render(_site(here, loaded, program))
    _warn(loaded.settings)
    if target is None:
        click.echo(text, nl=False)
    else:
        _install(program, text, _place(here, loaded.settings, target))


@click.command("nginx-reload")
@common_options
@click.pass_context
def nginx_reload(ctx: click.Context) -> None:
    """Check nginx's configuration, then let nginx read it again."""
    here = world(ctx)
    settings = here.examine(config_file(ctx)).settings
    program = _program(here)
    program.check()
    program.reload(settings.nginx.pid_file)
    click.echo("nginx reads its configuration again.")


def _program(here: World) -> Program:
    from tbtwist.nginx.program import Program, find_nginx

    return Program(find_nginx(here.environ))


def _site(here: World, loaded: Loaded, program: Program) -> Site:
    from tbtwist.nginx.addresses import has_ipv6, upstream_addresses
    from tbtwist.nginx.site import Site, site_of

    http, ws = upstream_addresses(loaded.settings, _status(here, loaded.settings))
    site = Site(
        settings=loaded.settings,
        http=http,
        ws=ws,
        nginx_version=program.version,
        ipv6=has_ipv6(),
    )
    return site_of(site, loaded.origins)


def _status(here: World, settings: Settings) -> Status | None:
    from tbtwist.cli.launching import ask_status

    return ask_status(here.connect(Path(settings.data_dir)))


def _warn(settings: Settings) -> None:
    """Say so when the workers would take nginx for every client."""
    from tbtwist.net.proxies import TrustedProxies

    trusted = TrustedProxies.parse(settings.http_worker.trusted_proxies)
    if not trusted.trusts(_LOOPBACK):
        sentence = (
            f"http_worker.trusted_proxies does not name {_LOOPBACK}, so the workers "
            "take nginx for the client of every request."
        )
        click.echo(f"Warning: {sentence}", err=True)


def _place(here: World, settings: Settings, target: str) -> Place:
    from tbtwist.nginx.installing import Place, usual_place

    nginx = settings.nginx
    link = Path(nginx.symlink_path) if nginx.symlink_path else None
    if target != _USUAL:
        return Place(here.cwd / target, link)
    if nginx.config_path:
        return Place(Path(nginx.config_path), link)
    return usual_place(_ETC)


def _install(program: Program, text: str, place: Place) -> None:
    from tbtwist.nginx.installing import install

    included = install(text, place, program.check)
    click.echo(f"Wrote {place.path}; nginx finds it fine.")
    if place.link:
        click.echo(f"It is enabled by {place.link}.")
    if not included:
        sentence = f"nginx does not include it; its http block needs: include {place.link or place.path};"
        raise Failure(sentence)
    click.echo("It counts after: tbtwist nginx-reload")
