"""Uploads as they come."""

from __future__ import annotations

import asyncio
from io import FileIO

from fastapi import Request
from starlette.requests import ClientDisconnect

from scotopic.errors import NO_ROOM
from scotopic.web.job import Job, NoRoomError
from scotopic.web.refusal import BODY_TYPE, RefusalError
from scotopic.web.waiting import WaitingLine


def check_body(request: Request, limit: int) -> None:
    """Raise RefusalError for a body that will not do, before it is sent."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != BODY_TYPE:
        raise RefusalError("type", f"send the file itself as {BODY_TYPE}, got {kind or 'no type'}")
    coding = request.headers.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity"):
        raise RefusalError("type", f"send the file as it is, without Content-Encoding: got {coding}")
    told_length = request.headers.get("content-length")
    if told_length is not None and int(told_length) > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> RefusalError:
    return RefusalError(
        "too-large", f"the file is larger than the {limit >> 20} MiB that this computer takes"
    )


async def receive(request: Request, job: Job, line: WaitingLine) -> None:
    """Write the body to the job's source as it comes, for which finished pictures may have to go.

    Raises RefusalError, NoRoomError; the line removes what came.
    """
    limits = line.limits
    size, due = 0, limits.least_bytes
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
                    if size >= due:
                        due = size + limits.least_bytes
                        job.patience.reschedule(clock() + limits.stalled_s)
    except TimeoutError as error:
        words = (
            f"less than {limits.least_bytes / 1e3:.0f} kB came in {limits.stalled_s:.0f} s, or the server stops: "
            "send the file again"
        )
        raise RefusalError("stalled", words, {"Connection": "close"}) from error
    except ClientDisconnect as error:
        # Nobody will read this; it ends the request in order.
        raise RefusalError("broken-off", "the upload broke off") from error
    except OSError as error:
        raise NoRoomError.by(error) from error
    if not size:
        raise RefusalError("empty", "the body is empty: send the RAW file as it is")


def _write(file: FileIO, piece: bytes, line: WaitingLine) -> None:
    """Write it all; finished pictures are forgotten while there is no room for it. Raises OSError."""
    rest = memoryview(piece)
    while rest:
        try:
            rest = rest[file.write(rest) :]
        except OSError as error:
            if error.errno not in NO_ROOM or not line.forget_one():
                raise
