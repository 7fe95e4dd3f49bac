"""Files from a folder, and nothing else: for development and the demo."""

from __future__ import annotations

import mimetypes
import os
from typing import Any, Final
from urllib.parse import quote

from twisted.python.filepath import FilePath
from twisted.web.http import CACHED
from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.static import File
from typing_extensions import override

from tbtwist.http.pages import NOT_ALLOWED, NOT_FOUND

_UNICODE: Final = frozenset(
    {"application/javascript", "application/json", "image/svg+xml"}
)
_EXTRA_TYPES: Final = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


def _content_types() -> dict[str, str]:
    types = {**mimetypes.types_map, **_EXTRA_TYPES}
    return {
        extension: f"{kind}; charset=utf-8"
        if kind.startswith("text/") or kind in _UNICODE
        else kind
        for extension, kind in types.items()
    }


def _is_name(segment: bytes) -> bool:
    """Whether ``segment`` can be the name of a file that we serve."""
    try:
        segment.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not segment.startswith(b".") and b"\0" not in segment


class StaticFile(File):
    """A file or folder below a root.

    Index pages, types, Range, ETag and Last-Modified; no dot files, no listings,
    and no way out of the root, not by a link either.
    """

    contentTypes = _content_types()  # noqa: N815 - the base class' name

    def __init__(self, path: str, *, root: str | None = None) -> None:
        super().__init__(path, "application/octet-stream")
        self.indexNames = ["index.html"]
        self.childNotFound = NOT_FOUND  # type: ignore[assignment]  # a page as well
        self._root = os.path.realpath(path) if root is None else root

    @override
    def createSimilarFile(self, path: str) -> StaticFile:
        """Return the file at ``path``, below the same root."""
        return StaticFile(path, root=self._root)

    @override
    def getChild(self, path: bytes, request: IRequest) -> IResource:
        """Return what is called ``path`` in this folder."""
        if not _is_name(path):
            return NOT_FOUND
        child: IResource = super().getChild(path, request)
        if isinstance(child, StaticFile) and not child.may_be_read():
            return NOT_FOUND
        return child

    def may_be_read(self) -> bool:
        """Whether this is a file or folder, and really below the root."""
        real = FilePath(os.path.realpath(self.path))
        inside = os.path.commonpath((self._root, real.path)) == self._root
        return inside and (real.isfile() or real.isdir())

    @override
    def directoryListing(self) -> IResource:
        """Return no listing."""
        return NOT_FOUND

    @override
    def render(self, request: Any) -> Any:
        """Serve GET and HEAD."""
        if request.method not in (b"GET", b"HEAD"):
            return NOT_ALLOWED.render(request)
        return self.render_GET(request)

    @override
    def render_GET(self, request: Any) -> Any:
        """Serve the file, or the part of it that the client lacks."""
        self.restat(reraise=False)
        if self.isfile():
            request.setHeader(b"cache-control", b"no-cache")
            if request.setETag(self._etag()) is CACHED:
                return b""
        return super().render_GET(request)

    def _etag(self) -> bytes:
        changed = int(self.getModificationTime() * 1_000_000)
        return b'"%x-%x"' % (changed, self.getsize())

    @override
    def redirect(self, request: Any) -> bytes:
        """Send the client to the folder's name with a slash.

        Relative, so that it is right behind any proxy and for any Host header.
        """
        request.setResponseCode(301)
        request.setHeader(b"content-type", b"text/plain")
        name = quote(self.basename(), safe="")
        request.setHeader(b"location", f"./{name}/".encode())
        return b""


def static_root(folder: str) -> IResource:
    """Return the resource that serves ``folder``; nothing if it is empty."""
    return StaticFile(folder) if folder else NOT_FOUND
