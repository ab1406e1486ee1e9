"""Connections: how many there may be, and how long one may keep silent."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from http import HTTPStatus
from typing import Any
from weakref import WeakSet

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from scotopic.web.headers import API_HEADERS
from scotopic.web.refusal import error_answer

HEAD_S = 30.0
"""A request's head (some hundred bytes) has to have come so long after its first byte, a connection's first one so long
after the connection; it takes a second where all is well."""

KEEP_S = 130
"""So long a connection is kept for its next request: longer than those who ask keep theirs (nginx 60 s, Caddy 120 s),
as else what they send at the end of it meets a connection that is just being closed."""

LINGER_S = 300.0
"""So long a body is heard out that was refused already: many senders read the refusal only behind it."""

CONNECTIONS = 256
"""At a time; a browser makes six, a page that follows pictures one or two more."""

FILES = 1024
"""Descriptors that this takes, and that are asked of the system."""

_FILES_BESIDE = 32
"""Of the interpreter, the listening sockets, the worker's pipes and the folder, with room."""

_OVER = 1.5
"""So many times the connections that are served may be open, the others to be told so; beyond, none is answered."""


def connections_for(files: int) -> int:
    """How many connections are served with so many descriptors: each takes one, and one more for a file.

    >>> connections_for(1024), connections_for(64), connections_for(16)
    (256, 12, 1)
    """
    return max(1, min(CONNECTIONS, int((files - _FILES_BESIDE) / (1 + _OVER))))


def raised_files() -> int:
    """The descriptors this process may have, after asking the system for as many as are wanted."""
    try:
        import resource
    except ImportError:
        # Windows has no such limit for sockets.
        return FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return FILES if soft == resource.RLIM_INFINITY else soft
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft


class Door(socket.socket):
    """A socket that listens, and closes at once what comes while far too many are open, at all doors together.

    Counted here and not behind a handshake of TLS, which somebody who says nothing never ends: else such run out of
    descriptors, whereupon asyncio writes tracebacks by the thousand.
    """

    def __init__(self, family: int, most: int, opened: WeakSet[socket.socket]) -> None:
        # Said to be TCP's: only of such does asyncio switch off Nagle's waiting, which costs up to 40 ms an answer.
        super().__init__(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._most, self._opened = int(_OVER * most), opened

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection. Raises ConnectionAbortedError, which asyncio passes by, for one too many."""
        accepted, address = super().accept()
        if sum(one.fileno() != -1 for one in self._opened) >= self._most:
            accepted.close()
            raise ConnectionAbortedError
        self._opened.add(accepted)
        return accepted, address


class Connection(H11Protocol):
    """One connection, closed where its next request's head does not come; `limit_concurrency` bounds how many.

    Beyond the limit whoever is idle longest after an answer has to go, and only where nobody is another is refused.
    uvicorn itself waits for a head without end, and answers beyond its limit without a word of what to do.
    """

    def __init__(self, config: Any, server_state: Any, app_state: dict[str, Any], **others: Any) -> None:
        super().__init__(config, server_state, app_state, **others)
        self._most, self.limit_concurrency = self.limit_concurrency, None
        self.timeout_keep_alive = KEEP_S
        self._patience: asyncio.TimerHandle | None = None
        self._awaited: float | None = None
        self._idle_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Serve it, or say that there are too many."""
        super().connection_made(transport)
        if self._most is not None and len(self.connections) > self._most and not self._take_a_place():
            self.app = _too_many
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._idle_since = self.loop.time()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """Say that this is no HTTP, as every error is said, and hang up."""
        answer = error_answer("malformed", msg, {**API_HEADERS, "Connection": "close"})
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            status = HTTPStatus(answer.status_code)
            head = h11.Response(
                status_code=status, headers=answer.raw_headers, reason=status.phrase.encode()
            )
            for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        # Else the request is being answered already, whose body turned out to be none.
        self.transport.close()

    def _should_upgrade(self) -> bool:
        # Nothing here speaks another protocol, which a server may pass over; uvicorn would advise what to install.
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tidy up."""
        super().connection_lost(exc)
        self._wait(None)

    @property
    def _is_idle(self) -> bool:
        """Whether it was answered, and nothing of another request has come."""
        waits = self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]
        return waits and self.cycle is not None and self.cycle.response_complete

    def _take_a_place(self) -> bool:
        """Close the connection that has been idle longest; False where none is."""
        idle = [one for one in self.connections if isinstance(one, Connection) and one._is_idle]
        if not idle:
            return False
        oldest = min(idle, key=lambda one: one._idle_since)
        self.connections.discard(oldest)
        oldest.transport.close()
        return True

    def _watch(self) -> None:
        if self._is_idle:
            self._wait(KEEP_S)
        elif self.conn.their_state is h11.IDLE:
            self._wait(HEAD_S)
        elif self.cycle is not None and self.cycle.response_complete:
            self._wait(LINGER_S)
        else:
            self._wait(None)

    def _wait(self, seconds: float | None) -> None:
        """Hang up in so long; not later where that was said before."""
        if seconds == self._awaited:
            return
        if self._patience is not None:
            self._patience.cancel()
        self._awaited = seconds
        self._patience = None if seconds is None else self.loop.call_later(seconds, self.transport.close)


async def _too_many(scope: Scope, receive: Receive, send: Send) -> None:
    words = "so many connections are open that this computer takes no other: try again in a minute"
    headers = {**API_HEADERS, "Connection": "close", "Retry-After": "60"}
    await error_answer("busy", words, headers)(scope, receive, send)
