"""The HTTP API: pictures go into the line, their progress comes as events, results are fetched; all described."""

from __future__ import annotations

import asyncio
import errno
from collections import Counter
from collections.abc import AsyncIterator
from io import FileIO
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from scotopic.errors import ScotopicError, SettingsError
from scotopic.models import Tier
from scotopic.version import __version__
from scotopic.web.apipage import api_page
from scotopic.web.choices import MEDIA_TYPES, Choices, Upload, tiers
from scotopic.web.download import Download
from scotopic.web.job import GoneError, Job, LineFullError, NoRoomError, State
from scotopic.web.line import Line

BODY_TYPE = "application/octet-stream"
RETRY_S = 15
"""About what a picture takes on a small computer."""


class ErrorWords(BaseModel):
    """What went wrong, for programs and for people."""

    code: str
    words: str


class ErrorAnswer(BaseModel):
    """Every answer that tells of an error."""

    error: ErrorWords


class Result(BaseModel):
    """A finished picture."""

    name: str
    bytes: int
    type: str
    url: str


class JobAnswer(BaseModel):
    """A picture in the line."""

    id: str
    name: str
    state: State
    position: int
    """In the line, from 1; 0 for what runs or is over."""
    stage: Literal["", "read", "network", "develop"]
    share: float
    """Of the work, 0 to 1."""
    seconds: float | None
    result: Result | None
    error: ErrorWords | None
    facts: dict[str, Any]
    """As `scotopic enhance --json` tells them."""


class Status(BaseModel):
    """What the computer offers and how busy it is."""

    version: str
    running: int
    waiting: int
    waiting_max: int
    upload_max_bytes: int
    formats: list[str]
    tiers: list[Tier]


class RefusalError(ScotopicError):
    """A request that is answered with an HTTP status and words."""

    def __init__(self, status: int, code: str, words: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(words)
        self.status, self.code, self.headers = status, code, headers

    def answer(self) -> JSONResponse:
        """As every error is answered."""
        return error_answer(self.status, self.code, str(self), self.headers)


def error_answer(status: int, code: str, words: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error as every one is answered."""
    return JSONResponse({"error": {"code": code, "words": words}}, status, headers)


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    meaning = {
        400: "the body is empty or broke off",
        403: "from a page of another site, or under a name that this server does not go by",
        404: "no such picture, or it was forgotten",
        408: "the upload stalled",
        409: "not finished, or it failed",
        413: "larger than this computer takes",
        415: f"the body must be {BODY_TYPE}",
        422: "a setting that there is not, or settings that do not go together",
        429: "too many wait already",
        507: "no room on the disk",
    }
    return {s: {"model": ErrorAnswer, "description": meaning[s]} for s in (403, *statuses)}


_UPLOAD = {
    "requestBody": {
        "required": True,
        "description": "The RAW file as it is.",
        "content": {BODY_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}
_EVENT = {
    "type": "object",
    "properties": {"event": {"const": "job"}, "data": {"type": "string"}},
    "required": ["event", "data"],
}
_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events called job, each with a job as JSON in its data; the last one is a final state.",
        "content": {"text/event-stream": {"schema": _EVENT}},
    }
}
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture; ranges are served.",
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA_TYPES.values()
        },
    },
    206: {"description": "The part of it that was asked for."},
    416: {"description": "It has no such part."},
}


def api_routes(line: Line) -> APIRouter:
    """The routes below /api that put pictures into this line."""
    router = APIRouter(prefix="/api")

    @router.get("/status", responses=_errors(), summary="What this computer offers, and how busy it is")
    async def status() -> Status:
        return Status(
            version=__version__,
            running=line.running,
            waiting=line.waiting,
            waiting_max=line.limits.waiting,
            upload_max_bytes=line.limits.upload_bytes,
            formats=list(MEDIA_TYPES),
            tiers=tiers(),
        )

    @router.post(
        "/enhance",
        status_code=202,
        responses=_errors(400, 408, 413, 415, 422, 429, 507),
        openapi_extra=_UPLOAD,
        summary="Send a RAW file to be enhanced",
    )
    async def enhance(request: Request, upload: Annotated[Upload, Query()]) -> JSONResponse:
        choices = Choices(**upload.model_dump(exclude={"name"}))
        _check(choices, request)
        _check_body(request, line.limits.upload_bytes)
        with line.place(upload.name, choices) as job:
            await _receive(request, job, line)
        return _accepted(job, line)

    @router.post(
        "/jobs/{id}/again",
        status_code=202,
        responses=_errors(404, 422, 429, 507),
        summary="Enhance the same file with other settings",
    )
    async def again(request: Request, id: str, choices: Annotated[Choices, Query()]) -> JSONResponse:
        earlier = line.find(id)
        _check(choices, request)
        return _accepted(line.again(earlier, choices), line)

    @router.get("/jobs/{id}", responses=_errors(404), summary="How far it is")
    async def job(id: str) -> JobAnswer:
        return told(line.find(id), line)

    @router.get(
        "/jobs/{id}/events",
        response_class=StreamingResponse,
        responses={**_EVENTS, **_errors(404)},
        summary="The same as server-sent events, at each change",
    )
    async def events(id: str) -> StreamingResponse:
        found = line.find(id)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_events(found, line), media_type="text/event-stream", headers=headers)

    @router.get(
        "/jobs/{id}/result",
        response_class=FileResponse,
        responses={**_PICTURE, **_errors(404, 409)},
        summary="The finished picture",
    )
    async def result(id: str) -> FileResponse:
        found = line.find(id)
        if found.state != "done":
            words = (
                found.error[1] if found.error else f"{found.name} is {found.state}: there is no result yet"
            )
            raise RefusalError(409, found.error[0] if found.error else "not-done", words)
        if not found.result.exists():
            raise GoneError("the picture was removed here: send it again")
        return Download(found, MEDIA_TYPES[found.choices.format])

    @router.delete(
        "/jobs/{id}", status_code=204, responses=_errors(404), summary="Cancel it, and forget its files"
    )
    async def cancel(id: str) -> None:
        await line.drop(line.find(id))

    @router.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> JSONResponse:
        return JSONResponse(request.app.openapi())

    @router.get("", include_in_schema=False)
    async def to_page() -> RedirectResponse:
        return RedirectResponse("api/", 308)

    @router.get("/", include_in_schema=False)
    async def page(request: Request) -> HTMLResponse:
        content, policy = api_page(request.app.openapi())
        return HTMLResponse(content, headers={"Content-Security-Policy": policy})

    return router


def told(job: Job, line: Line) -> JobAnswer:
    """A job as it is answered."""
    done = job.state == "done" and job.result.exists()
    result = Result(
        name=job.result_name,
        bytes=job.result.stat().st_size if done else 0,
        type=MEDIA_TYPES[job.choices.format],
        url=f"api/jobs/{job.id}/result",
    )
    return JobAnswer(
        id=job.id,
        name=job.name,
        state=job.state,
        position=line.position(job),
        stage=job.stage,
        share=job.share,
        seconds=job.seconds,
        result=result if done else None,
        error=ErrorWords(code=job.error[0], words=job.error[1]) if job.error else None,
        facts=job.facts,
    )


def _accepted(job: Job, line: Line) -> JSONResponse:
    return JSONResponse(told(job, line).model_dump(), 202, headers={"Location": f"/api/jobs/{job.id}"})


def _check(choices: Choices, request: Request) -> None:
    """Raise RefusalError for choices that do not go together or come twice, before a picture is sent for nothing."""
    counts = Counter(name for name, _ in request.query_params.multi_items())
    if twice := [name for name, count in counts.items() if count > 1]:
        raise RefusalError(
            422, "setting", f"{', '.join(twice)}: given more than once; give every setting once"
        )
    try:
        choices.settings()
    except ScotopicError as error:
        raise RefusalError(422, "setting", str(error)) from error


def _check_body(request: Request, limit: int) -> None:
    """Raise RefusalError for a body that will not do, before it is sent."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != BODY_TYPE:
        raise RefusalError(415, "type", f"send the file itself as {BODY_TYPE}, got {kind or 'no type'}")
    told_length = request.headers.get("content-length")
    if told_length is not None and int(told_length) > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> RefusalError:
    return RefusalError(
        413, "too-large", f"the file is larger than the {limit >> 20} MiB that this computer takes"
    )


async def _receive(request: Request, job: Job, line: Line) -> None:
    """Write the body to the job's source as it comes, for which finished pictures may have to go.

    Raises RefusalError, NoRoomError; the line removes what came.
    """
    limits = line.limits
    size = 0
    clock = asyncio.get_running_loop().time
    try:
        async with asyncio.timeout(limits.stalled_s) as job.patience:
            if not line.make_room(int(request.headers.get("content-length", 0))):
                raise NoRoomError("this computer has no room for a file so large: make room or wait")
            with job.source.open("xb", buffering=0) as file:
                async for piece in request.stream():
                    size += len(piece)
                    if size > limits.upload_bytes:
                        raise _too_large(limits.upload_bytes)
                    _write(file, piece, line)
                    job.patience.reschedule(clock() + limits.stalled_s)
    except TimeoutError as error:
        words = f"nothing came for {limits.stalled_s:.0f} s, or the server stops: send the file again"
        raise RefusalError(408, "stalled", words, {"Connection": "close"}) from error
    except ClientDisconnect as error:
        # Nobody will read this; it ends the request in order.
        raise RefusalError(400, "broken-off", "the upload broke off") from error
    except OSError as error:
        raise NoRoomError.by(error) from error
    if not size:
        raise RefusalError(400, "empty", "the body is empty: send the RAW file as it is")


def _write(file: FileIO, piece: bytes, line: Line) -> None:
    """Write it all; finished pictures are forgotten while there is no room for it. Raises OSError."""
    rest = memoryview(piece)
    while rest:
        try:
            rest = rest[file.write(rest) :]
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not line.forget_one():
                raise


async def _events(job: Job, line: Line) -> AsyncIterator[str]:
    async for now in line.changes(job):
        if now is None:
            yield ": still here\n\n"
        else:
            yield f"event: job\ndata: {told(now, line).model_dump_json()}\n\n"


def refusal_of(error: ScotopicError) -> RefusalError:
    """What a request is answered when the library refuses."""
    match error:
        case RefusalError():
            return error
        case GoneError():
            return RefusalError(404, "gone", str(error))
        case LineFullError():
            return RefusalError(429, "line-full", str(error), {"Retry-After": str(RETRY_S)})
        case NoRoomError():
            return RefusalError(507, "disk", str(error), {"Retry-After": str(RETRY_S)})
        case SettingsError():
            return RefusalError(422, "setting", str(error))
        case _:
            return RefusalError(409, "failed", str(error))
