"""What the manager's API tells of nginx, and how it lets it read its site again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.internet.utils import getProcessOutputAndValue

from tbtwist.config.schema import Nginx
from tbtwist.errors import Refused
from tbtwist.webui.accounts import NginxFacts

_USUAL: Final = "/usr/sbin/nginx"
_LONGEST_REASON: Final = 500


@attrs.frozen(eq=False)
class LocalNginx:
    """The nginx of this machine: ``NGINX_PATH``, the one on the path, or the usual."""

    _reactor: Any
    _environ: Mapping[str, str]
    _settings: Nginx

    @property
    def _program(self) -> str | None:
        given = self._environ.get("NGINX_PATH") or "nginx"
        return shutil.which(given, path=self._environ.get("PATH")) or shutil.which(
            _USUAL
        )

    async def facts(self) -> NginxFacts:
        """Return what is known about it."""
        program = self._program
        if program is None:
            return NginxFacts()
        _, said = await self._run(program, "-v")
        keys = (self._settings.ssl_certificate, self._settings.ssl_certificate_key)
        return NginxFacts(
            installed=True,
            version=said.rpartition("/")[2].strip() or None,
            ssl_available=all(key and Path(key).is_file() for key in keys),
        )

    async def reload(self) -> None:
        """Check the configuration, then let nginx read it.

        Raises:
            Refused: with what nginx said; 501 if there is none.
        """
        program = self._program
        if program is None:
            raise Refused(501, "nginx is not installed here")
        for arguments in (("-t",), ("-s", "reload")):
            code, said = await self._run(program, *arguments)
            if code:
                told = said.strip()[-_LONGEST_REASON:] or f"it ended with {code}"
                raise Refused(502, f"nginx {' '.join(arguments)}: {told}")

    async def _run(self, program: str, *arguments: str) -> tuple[int, str]:
        out, err, code = await getProcessOutputAndValue(
            program, arguments, env=dict(self._environ), reactor=self._reactor
        )
        return code, (out + err).decode(errors="replace")
