"""A result on its way to whoever asked for it, and which parts of a file may be asked for."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.staticfiles import NotModifiedResponse
from starlette.types import Message, Receive, Scope, Send

from scotopic.web.job import Job
from scotopic.web.refusal import error_answer

_PART = r"(?:\d{1,18}-\d{0,18}|-\d{1,18})"
_RANGES = re.compile(rf"bytes=[ \t]*{_PART}(?:[ \t]*,[ \t]*{_PART})*[ \t]*", re.I | re.A)


def ranges_of(asked: Headers) -> list[tuple[int | None, int | None]] | None:
    """First and last byte of each part that is asked for; None where that is all or makes no sense.

    What makes no sense is to be passed over (RFC 9110, 14.2): other units, a last byte before the first.

    >>> ranges_of(Headers({"range": "bytes=5-, -3, 0-9"}))
    [(5, None), (None, 3), (0, 9)]
    >>> senseless = ("lines=1", "bytes=abc", "bytes=5-2", "bytes=-", "bytes=" + 5000 * "9" + "-")
    >>> [ranges_of(Headers({"range": text})) for text in senseless]
    [None, None, None, None, None]
    """
    text = asked.get("range", "")
    if not _RANGES.fullmatch(text):
        return None
    pairs = (part.strip().split("-") for part in text.partition("=")[2].split(","))
    found = [(int(first) if first else None, int(last) if last else None) for first, last in pairs]
    if any(first is not None and last is not None and last < first for first, last in found):
        return None
    return found


def with_sound_range(scope: Scope) -> Scope:
    """The request, without a `Range` that makes no sense."""
    return scope if ranges_of(Headers(scope=scope)) is not None else _asking_for(scope, [])


def _asking_for(scope: Scope, parts: list[tuple[int | None, int | None]]) -> Scope:
    """The request for these parts; for all where there are none."""
    headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
    if parts:
        words = ", ".join("-".join("" if n is None else str(n) for n in part) for part in parts)
        headers.append((b"range", f"bytes={words}".encode()))
    return {**scope, "headers": headers}


_UNQUOTABLE = re.compile(r"""[^ -~]|["\\]|%(?=[0-9A-Fa-f]{2})""")
"""What in a quoted name ends it, is no ASCII, or is decoded by some."""


def disposition(name: str) -> str:
    """The header that names a file to be kept, for those who know only the old form too (RFC 6266): curl is one.

    >>> print(disposition("IMG 1-scotopic.jpg"))
    attachment; filename="IMG 1-scotopic.jpg"
    >>> print(disposition("Köln [2].jpg"))
    attachment; filename="Koln [2].jpg"; filename*=UTF-8''K%C3%B6ln%20%5B2%5D.jpg
    """
    bare = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    plain = _UNQUOTABLE.sub("_", bare) or "_"
    extended = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'attachment; filename="{plain}"{extended}'


class Download(FileResponse):
    """The result of a job, which counts as fetched once its last byte is sent."""

    def __init__(self, job: Job, media_type: str) -> None:
        headers = {"Content-Disposition": disposition(job.result_name)}
        super().__init__(job.result, headers=headers, media_type=media_type)
        self._job = job

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        found = self._job.result.stat()
        size, asked = found.st_size, Headers(scope=scope)
        self.set_stat_headers(found)
        if is_held(asked, self.headers["etag"]):
            # Goes before any part that is asked for (RFC 9110, 13.2.2).
            await NotModifiedResponse(self.headers)(scope, receive, send)
            return
        parts = ranges_of(asked) or []
        there = [part for part in parts if _is_there(part, size)]
        if parts and not there and "if-range" not in asked:
            words = f"the picture has {size} bytes, and none of what was asked for"
            answer = error_answer("range", words, {"Content-Range": f"bytes */{size}"})
            await answer(scope, receive, send)
            return
        request = Request(scope, receive)
        ends = any(first is None or last is None or last >= size - 1 for first, last in there)
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            whole = status == 200 or (status == 206 and ends)
            is_last = message["type"] == "http.response.body" and not message.get("more_body")
            # The server takes all that is sent to whoever has gone without a word.
            fetched = whole and is_last and scope["method"] == "GET" and not await request.is_disconnected()
            await send(message)
            self._job.fetched |= fetched

        await super().__call__(_asking_for(scope, there), receive, watched)


def is_held(asked: Headers, *tags: str) -> bool:
    """Whether who asks has what goes by one of these tags already.

    >>> [is_held(Headers({"if-none-match": text}), '"a"') for text in ('W/"a"', '"b", "a"', "*", '"b"', "")]
    [True, True, True, False, False]
    """
    held = {tag.strip().removeprefix("W/") for tag in asked.get("if-none-match", "").split(",")}
    return bool(held & {"*", *tags})


def _is_there(part: tuple[int | None, int | None], size: int) -> bool:
    return (part[0] or 0) < size and part != (None, 0)
