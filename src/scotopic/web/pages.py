"""The page's files over HTTP: by exact name, compressed, in ranges, kept by browsers as long as they are the same."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from scotopic.web.download import is_held, with_sound_range
from scotopic.web.site import SiteFile, brotli

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".wasm": "application/wasm",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
    "": "text/plain; charset=utf-8",
}
"""Media types by ending; anything else is bytes. Without the right one browsers refuse modules and wasm streaming."""

BROTLI_LEVEL = 5
"""While the browser waits: a second for the largest file, once, against seven at the level of `scotopic site`."""

WORTH_BYTES = 1024
"""Bytes from which on a file is compressed; smaller ones fit into one packet anyway."""

SHARE = "share-target"
"""Where the manifest sends what is shared to the page; its service worker takes that, if there is one."""


class Pages:
    """An ASGI application of the page's files. What is made for them (derived, compressed) lies in `folder`."""

    def __init__(self, files: dict[str, SiteFile], folder: Path) -> None:
        self._files, self._folder = files, folder
        self._being_made: dict[str, asyncio.Lock] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        scope = with_sound_range(scope)
        answer = await self._answer(scope)
        await answer(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response:
        path = scope["path"].removeprefix("/") or "index.html"
        if path == SHARE and scope["method"] == "POST":
            return RedirectResponse("./?shared=0", 303)
        file = self._files.get(path)
        if file is None:
            return PlainTextResponse("There is no such page here.\n", 404)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("Pages can only be fetched.\n", 405, {"Allow": "GET, HEAD"})
        asked = Headers(scope=scope)
        encoding = "" if "range" in asked else _encoding(asked, file)
        tag = f'"{file.hash}-{encoding}"' if encoding else f'"{file.hash}"'
        headers = {
            "ETag": tag,
            # Kept, and asked after by its hash each time: a page never mixes two versions.
            "Cache-Control": "no-cache",
            "Vary": "Accept-Encoding",
        }
        if _is_held(asked, file):
            return Response(status_code=304, headers=headers)
        kind = TYPES.get(Path(path).suffix, "application/octet-stream")
        try:
            made = await self._on_disk(file, encoding)
        except OSError:
            # No room for it: as it is then, whole, which is not the form that has this tag.
            del headers["ETag"]
            return Response(file.content, headers=headers, media_type=kind)
        if encoding:
            headers["Content-Encoding"] = encoding
        return FileResponse(made, headers=headers, media_type=kind)

    async def _on_disk(self, file: SiteFile, encoding: str) -> Path:
        """The file in that encoding, made when it is first asked for."""
        if not encoding and isinstance(file.source, Path):
            return file.source
        made = self._folder / f"{file.hash}{encoding and '.'}{encoding}"
        async with self._being_made.setdefault(made.name, asyncio.Lock()):
            if not made.exists():
                await asyncio.to_thread(_make, file, encoding, made)
        return made


def _make(file: SiteFile, encoding: str, target: Path) -> None:
    content = file.content
    if encoding == "br":
        content = brotli(content, BROTLI_LEVEL)
    elif encoding == "gzip":
        content = gzip.compress(content, 6, mtime=0)
    # Whole or not at all: a stopped server's half file must not be found by nobody, but a failed one's might.
    part = target.with_suffix(f"{target.suffix}.part")
    part.write_bytes(content)
    part.replace(target)


def _encoding(asked: Headers, file: SiteFile) -> str:
    """The best encoding that the browser takes; none for what does not get smaller."""
    if not file.squeezes or file.size < WORTH_BYTES:
        return ""
    taken = set()
    for part in asked.get("accept-encoding", "").lower().split(","):
        name, _, rest = part.partition(";")
        if rest.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000"):
            taken.add(name.strip())
    return next((name for name in ("br", "gzip") if name in taken), "")


def _is_held(asked: Headers, file: SiteFile) -> bool:
    """Whether the browser has the file, in whichever encoding, already."""
    return is_held(asked, *(f'"{file.hash}{encoding}"' for encoding in ("", "-br", "-gzip")))
