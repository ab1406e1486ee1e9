"""Why a request is not granted, as every error is answered."""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel

from scotopic.errors import ScotopicError, SettingsError
from scotopic.web.job import GoneError, LineFullError, NoRoomError

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
    return {s: {"model": ErrorAnswer, "description": meaning[s]} for s in (403, 503, *statuses)}


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
