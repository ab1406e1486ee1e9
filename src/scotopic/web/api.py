"""The HTTP API: pictures go into the line, their progress comes as events, results are fetched; all described."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse
from pydantic import BaseModel, Field

from scotopic.errors import ScotopicError
from scotopic.formats.table import FACTS
from scotopic.models import Tier
from scotopic.version import __version__
from scotopic.web.apipage import api_page
from scotopic.web.choices import Choices, Upload, in_api_words, tiers
from scotopic.web.download import Download
from scotopic.web.job import GoneError, Job, State
from scotopic.web.receive import check_body, receive
from scotopic.web.refusal import BODY_TYPE, STATUS_OF, ErrorWords, RefusalError, errors, header
from scotopic.web.waiting import WaitingLine


class Result(BaseModel):
    """A finished picture."""

    name: str
    bytes: int
    type: str
    url: str = Field(
        description="From the page's address, the server's root, in whichever answer it stands: api/jobs/ID/result."
    )


class JobAnswer(BaseModel):
    """A picture in the line."""

    id: str
    name: str
    state: State
    position: int
    """Place in the line, from 1; 0 for what runs or is over."""
    stage: Literal["", "read", "network", "develop"]
    share: float
    """Share of the work that is done, 0 to 1."""
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


_Answers = TypeVar("_Answers", bound=Callable[..., Awaitable[Any]])
"""What answers a request."""

_BYTES = {"schema": {"type": "string", "format": "binary"}}
_UPLOAD = {
    "requestBody": {
        "required": True,
        "description": "The RAW file as it is.",
        "content": {BODY_TYPE: _BYTES},
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
_KINDS = dict.fromkeys((facts.media_type for facts in FACTS.values()), _BYTES)
_KEPT = {
    **header("Content-Disposition", "What to call the file: `name` of the result."),
    **header("Accept-Ranges", "bytes"),
}
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture; ranges are served.", "content": _KINDS, "headers": _KEPT},
    206: {
        "description": "The part of it that was asked for; several come as multipart/byteranges.",
        "content": {**_KINDS, "multipart/byteranges": _BYTES},
        "headers": _KEPT | header("Content-Range", "Which part, of a single one.", always=False),
    },
    304: {"description": "`If-None-Match` names its `ETag`: who asks has it already."},
}
_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {
        "model": JobAnswer,
        "description": "It is in the line.",
        "headers": header("Location", "The job's address, from where the request went."),
    }
}


def api_routes(line: WaitingLine) -> APIRouter:
    """The routes below /api that put pictures into this line."""
    router = APIRouter(prefix="/api")

    def get(path: str, **described: Any) -> Callable[[_Answers], _Answers]:
        """GET, and HEAD, which asks what GET would answer; the server leaves the body out."""

        def at(answers: _Answers) -> _Answers:
            router.add_api_route(path, answers, methods=["HEAD"], include_in_schema=False)
            router.add_api_route(path, answers, methods=["GET"], **described)
            return answers

        return at

    @get("/status", responses=errors(), summary="What this computer offers, and how busy it is")
    async def status() -> Status:
        return Status(
            version=__version__,
            running=line.running,
            waiting=line.waiting,
            waiting_max=line.limits.waiting,
            upload_max_bytes=line.limits.upload_bytes,
            formats=list(FACTS),
            tiers=tiers(),
        )

    @router.post(
        "/enhance",
        status_code=202,
        responses={**_ACCEPTED, **errors(400, 408, 413, 415, 422, 429, 507)},
        openapi_extra=_UPLOAD,
        summary="Send a RAW file to be enhanced",
    )
    async def enhance(request: Request, upload: Annotated[Upload, Query()]) -> JSONResponse:
        choices = Choices(**upload.model_dump(exclude={"name"}))
        _check(choices, request)
        check_body(request, line.limits.upload_bytes)
        with line.place(upload.name, choices, _client(request)) as job:
            await receive(request, job, line)
        return _accepted(job, line, f"jobs/{job.id}")

    @router.post(
        "/jobs/{id}/again",
        status_code=202,
        responses={**_ACCEPTED, **errors(404, 422, 429, 507)},
        summary="Enhance the same file with other settings",
    )
    async def again(request: Request, id: str, choices: Annotated[Choices, Query()]) -> JSONResponse:
        earlier = line.find(id)
        _check(choices, request)
        job = line.again(earlier, choices, _client(request))
        return _accepted(job, line, f"../{job.id}")

    @get("/jobs/{id}", responses=errors(404), summary="How far it is")
    async def job(id: str) -> JobAnswer:
        return job_answer(line.find(id), line)

    # Events go on: there is no HEAD of them.
    @router.get(
        "/jobs/{id}/events",
        response_class=StreamingResponse,
        responses={**_EVENTS, **errors(404)},
        summary="The same as server-sent events, at each change",
    )
    async def events(id: str) -> StreamingResponse:
        found = line.find(id)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_events(found, line), media_type="text/event-stream", headers=headers)

    @get(
        "/jobs/{id}/result",
        response_class=FileResponse,
        responses={**_PICTURE, **errors(404, 409, 416)},
        summary="The finished picture",
    )
    async def result(id: str) -> FileResponse:
        found = line.find(id)
        if found.state != "done":
            if found.error:
                raise RefusalError(*found.error, status=STATUS_OF["failed"])
            raise RefusalError("not-done", f"{found.name} is {found.state}: there is no result yet")
        if not found.result.exists():
            raise GoneError("the picture was removed here: send it again")
        return Download(found, FACTS[found.choices.format].media_type)

    @router.delete(
        "/jobs/{id}", status_code=204, responses=errors(404), summary="Cancel it, and forget its files"
    )
    async def cancel(id: str) -> None:
        await line.drop(line.find(id))

    @get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> JSONResponse:
        return JSONResponse(request.app.openapi())

    @get("", include_in_schema=False)
    async def to_page() -> RedirectResponse:
        return RedirectResponse("api/", 308)

    @get("/", include_in_schema=False)
    async def page(request: Request) -> HTMLResponse:
        content, policy = api_page(request.app.openapi())
        return HTMLResponse(content, headers={"Content-Security-Policy": policy})

    return router


def job_answer(job: Job, line: WaitingLine) -> JobAnswer:
    """What is known of a job, in the form in which requests and events are answered."""
    done = job.state == "done" and job.result.exists()
    result = Result(
        name=job.result_name,
        bytes=job.result.stat().st_size if done else 0,
        type=FACTS[job.choices.format].media_type,
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


def _accepted(job: Job, line: WaitingLine, place: str) -> JSONResponse:
    """`place` is the job's from where the request went: a proxy may serve all of it below a path."""
    return JSONResponse(job_answer(job, line).model_dump(), 202, headers={"Location": place})


def _client(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def _check(choices: Choices, request: Request) -> None:
    """Raise RefusalError for choices that do not go together or come twice, before a picture is sent for nothing."""
    counts = Counter(name for name, _ in request.query_params.multi_items())
    if twice := [name for name, count in counts.items() if count > 1]:
        raise RefusalError("setting", f"{', '.join(twice)}: given more than once; give every setting once")
    try:
        choices.settings()
    except ScotopicError as error:
        raise RefusalError("setting", in_api_words(str(error))) from error


async def _events(job: Job, line: WaitingLine) -> AsyncIterator[str]:
    async for now in line.changes(job):
        if now is None:
            yield ": still here\n\n"
        else:
            yield f"event: job\ndata: {job_answer(now, line).model_dump_json()}\n\n"
