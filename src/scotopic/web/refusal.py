"""Why a request is not granted, as every error is answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel

from scotopic.asked import wrong
from scotopic.errors import ScotopicError, SettingsError
from scotopic.web.choices import Choices, Upload
from scotopic.web.job import GoneError, LineFullError, NoRoomError

BODY_TYPE = "application/octet-stream"
RETRY_S = 15
"""Seconds after which a refused sender may try again: about what a picture takes on a small computer."""


STATUS_OF = {
    "empty": 400,
    "broken-off": 400,
    "malformed": 400,
    "foreign": 403,
    "gone": 404,
    "not-found": 404,
    "method": 405,
    "stalled": 408,
    "not-done": 409,
    "failed": 409,
    "too-large": 413,
    "type": 415,
    "range": 416,
    "setting": 422,
    "line-full": 429,
    "internal": 500,
    "busy": 503,
    "disk": 507,
}
"""HTTP status of each code of an error. A picture that failed has codes of its own (`work.FAULTS`), told with 409."""


class ErrorWords(BaseModel):
    """What went wrong, for programs and for people."""

    code: str
    words: str


class ErrorAnswer(BaseModel):
    """Every answer that tells of an error."""

    error: ErrorWords


class RefusalError(ScotopicError):
    """A request that is answered with an HTTP status and words."""

    def __init__(
        self, code: str, words: str, headers: dict[str, str] | None = None, *, status: int | None = None
    ) -> None:
        """`status`: where it is not the code's own."""
        super().__init__(words)
        self.code, self.headers = code, headers
        self.status = STATUS_OF[code] if status is None else status

    def answer(self) -> JSONResponse:
        """As every error is answered."""
        return JSONResponse({"error": {"code": self.code, "words": str(self)}}, self.status, self.headers)


def error_answer(code: str, words: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error as every one is answered."""
    return RefusalError(code, words, headers).answer()


def misasked(found: Sequence[dict[str, Any]]) -> RefusalError:
    """What a request is answered whose settings are not what is described, by pydantic's `errors()`."""
    return RefusalError("setting", "; ".join(f"{error['loc'][-1]}: {_misasked(error)}" for error in found))


def _misasked(error: dict[str, Any]) -> str:
    name = error["loc"][-1]
    described = Upload.model_fields[name].description if name in Upload.model_fields else ""
    match error["type"]:
        case "extra_forbidden":
            return f"there is no such setting here; known are {', '.join(Choices.model_fields)}"
        case "missing":
            return f"is missing; give {name}=... in the address: {described}"
        case "string_pattern_mismatch":
            return f"{error['input']!r} will not do, no folders, line breaks and control characters: {described}"
        case _:
            return wrong(error)


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of an operation, for its description."""
    meaning = {
        400: "the body is empty or broke off",
        403: "from a page of another site, or under a name that this server does not go by",
        404: "no such picture, or it was forgotten",
        408: "the upload stalled, or crept",
        409: "not finished, or it failed",
        413: "larger than this computer takes",
        415: f"the body must be {BODY_TYPE}, as it is",
        416: "it has no such part",
        422: "a setting that there is not, or settings that do not go together",
        429: "too many wait already",
        503: "so many connections are open that no other is taken",
        507: "no room on the disk",
    }
    again = header("Retry-After", "In so many seconds.", kind="integer")
    told = {
        416: header("Content-Range", "How long the picture is: bytes */LENGTH."),
        429: again,
        503: again,
        507: again,
    }
    return {
        s: {"model": ErrorAnswer, "description": meaning[s], "headers": told.get(s, {})}
        for s in (403, 503, *statuses)
    }


def header(name: str, words: str, *, kind: str = "string", always: bool = True) -> dict[str, Any]:
    """A header of an answer, for its description."""
    return {name: {"description": words, "required": always, "schema": {"type": kind}}}


def refusal_of(error: ScotopicError) -> RefusalError:
    """What a request is answered when the library refuses."""
    match error:
        case RefusalError():
            return error
        case GoneError():
            return RefusalError("gone", str(error))
        case LineFullError():
            return RefusalError("line-full", str(error), {"Retry-After": str(RETRY_S)})
        case NoRoomError():
            return RefusalError("disk", str(error), {"Retry-After": str(RETRY_S)})
        case SettingsError():
            return RefusalError("setting", str(error))
        case _:
            return RefusalError("failed", str(error))
