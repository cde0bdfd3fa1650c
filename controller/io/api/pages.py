"""The files of the web page and the chart library, held in memory and served by exact name.

There is no folder behind a URL: each file of ``controller/web`` is one route, so no path can walk
anywhere (B34). The chart library is the bundle that the installed ``plotly`` package carries: 5 MB, read and compressed when a
browser first asks for it, then served from memory.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from aiohttp import web

WEB_DIR = Path(__file__).resolve().parents[2] / "web"
PLOTLY_PATH = "/vendor/plotly.min.js"

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file: its bytes, the same compressed, and a tag that changes with the content."""

    content_type: str
    body: bytes
    packed: bytes
    etag: str
    cache_control: str

    @classmethod
    def of(cls, path: Path, cache_control: str) -> StoredFile:
        """Read and compress ``path``. Raises OSError."""
        body = path.read_bytes()
        tag = hashlib.sha256(body).hexdigest()[:20]
        return cls(_TYPES[path.suffix], body, gzip.compress(body, 6, mtime=0), tag, cache_control)

    async def stored(self) -> StoredFile:
        """Itself: it has been read."""
        return self

    def answer(self, request: web.Request) -> web.Response:
        """200 with the bytes, compressed if the browser takes it, or 304."""
        headers = {"ETag": f'"{self.etag}"', "Cache-Control": self.cache_control, "Vary": "Accept-Encoding"}
        if any(tag.value in (self.etag, "*") for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = self.content_type
        if _takes_gzip(request.headers.get("Accept-Encoding", "")):
            return web.Response(body=self.packed, headers=headers | {"Content-Encoding": "gzip"})
        return web.Response(body=self.body, headers=headers)


class LaterFile:
    """A large file, read when it is first asked for: no start waits for its compression, and where nobody looks it takes no memory."""

    def __init__(self, path: Path, cache_control: str) -> None:
        self._path, self._cache_control = path, cache_control
        self._kept: StoredFile | None = None
        self._reading = asyncio.Lock()

    async def stored(self) -> StoredFile:
        """Its bytes. Raises OSError."""
        async with self._reading:
            if self._kept is None:
                self._kept = await asyncio.to_thread(StoredFile.of, self._path, self._cache_control)
            return self._kept


def _takes_gzip(accepted: str) -> bool:
    parts = (part.replace(" ", "").lower() for part in accepted.split(","))
    return any(
        part == "gzip" or (part.startswith("gzip;q=") and part.removeprefix("gzip;q=").strip("0.") != "") for part in parts
    )


def page_files(folder: Path = WEB_DIR) -> dict[str, StoredFile]:
    """URL path -> file, for every file of the page; the page itself is ``/``. Raises OSError."""
    files = {f"/{path.name}": StoredFile.of(path, "no-cache") for path in sorted(folder.iterdir()) if path.suffix in _TYPES}
    files["/"] = files.pop("/index.html")
    return files


def plotly_file() -> LaterFile | None:
    """The chart library out of the installed package; None when the package is not there (the page then says so)."""
    spec = find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(next(iter(spec.submodule_search_locations))) / "package_data" / "plotly.min.js"
    return LaterFile(path, "public, max-age=86400") if path.is_file() else None
