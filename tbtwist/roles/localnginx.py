"""The nginx of this machine as the manager's API tells of it and reloads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
from twisted.internet.threads import deferToThreadPool

from tbtwist.config.schema import Nginx
from tbtwist.errors import NginxMissing, Refused, TbtwistError
from tbtwist.nginx.program import Program, find_nginx
from tbtwist.webui.accounts import NginxFacts

T = TypeVar("T")

_LONGEST_REASON: Final = 500

FindProgram = Callable[[], Program]
"""Looks for nginx anew each time, since somebody may install it meanwhile."""


@attrs.frozen(eq=False)
class LocalNginx:
    """Asks nginx in a thread; waiting for its end there needs no SIGCHLD."""

    _reactor: Any
    _find: FindProgram
    _settings: Nginx

    @classmethod
    def of(
        cls, reactor: Any, environ: Mapping[str, str], settings: Nginx
    ) -> LocalNginx:
        """Return the one that the environment names."""
        return cls(reactor, lambda: Program(find_nginx(environ)), settings)

    async def facts(self) -> NginxFacts:
        """Return what is known about it."""
        return await self._in_thread(self._look)

    async def reload(self) -> None:
        """Check the configuration, then let nginx read it.

        Raises:
            Refused: with what nginx said; 501 if there is none.
        """
        try:
            await self._in_thread(self._check_and_reload)
        except NginxMissing as error:
            raise Refused(501, str(error)) from error
        except TbtwistError as error:
            raise Refused(502, str(error)[:_LONGEST_REASON]) from error

    def _look(self) -> NginxFacts:
        version = self._find().version
        keys = (self._settings.ssl_certificate, self._settings.ssl_certificate_key)
        return NginxFacts(
            installed=bool(version),
            version=".".join(map(str, version)) or None,
            ssl_available=all(key and Path(key).is_file() for key in keys),
        )

    def _check_and_reload(self) -> None:
        program = self._find()
        program.check()
        program.reload(self._settings.pid_file)

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await deferToThreadPool(
            self._reactor, self._reactor.getThreadPool(), function
        )
