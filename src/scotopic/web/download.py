"""A result on its way to whoever asked for it."""

from __future__ import annotations

from starlette.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from scotopic.web.job import Job


class Download(FileResponse):
    """The result of a job, which counts as fetched once its last byte is sent."""

    def __init__(self, job: Job, media_type: str) -> None:
        super().__init__(job.result, media_type=media_type, filename=job.result_name)
        self._job = job

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            await send(message)
            status = message.get("status", status)
            if (
                status in (200, 206)
                and message["type"] == "http.response.body"
                and not message.get("more_body")
            ):
                self._job.fetched = True

        await super().__call__(scope, receive, watched if scope["method"] == "GET" else send)
