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
"""Seconds after its first byte (of a connection's first request: after the connection) in which a request's head, some
hundred bytes, has to have come; it takes a second where all is well."""

KEEP_S = 130
"""Seconds that a connection is kept for its next request: longer than those who ask keep theirs (nginx 60 s, Caddy 120
s), as else what they send at the end of it meets a connection that is just being closed."""

TAKEN_BYTES = 64 << 10
"""Bytes of an answer that have to be taken in `KEEP_S`, or all of it: half a kB a second, which no line is slower
than."""

LINGER_S = 300.0
"""Seconds that a body is heard out that was refused already: many senders read the refusal only behind it."""

CONNECTIONS = 256
"""Connections served at a time; a browser makes six, a page that follows pictures one or two more."""

FILES = 1024
"""Descriptors that this takes, and that are asked of the system."""

_FILES_BESIDE = 32
"""Descriptors taken beside the connections: of the interpreter, the listening sockets, the worker's pipes and the
folder, with room."""

_OVER = 1.5
"""Connections that may be open in units of those that are served, the others to be told so; beyond, none is
answered."""


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
        self._patience: asyncio.TimerHandle | None = None
        self._awaited: float | None = None
        self._untaken_before = 0
        self._tls: Any = None
        self._idle_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Serve it, or say that there are too many."""
        super().connection_made(transport)
        self._tls = getattr(transport, "_ssl_protocol", None)
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
        # uvicorn's own deadline does not ask what of the answer is on its way.
        self._unset_keepalive_if_required()
        self._idle_since = self.loop.time()
        self._watch()

    def pause_writing(self) -> None:
        """Wait for the client to take what is on its way."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """Send the next piece."""
        super().resume_writing()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        """Say that this is no HTTP, as every error is said, and hang up."""
        answer = error_answer("malformed", msg, {**API_HEADERS, "Connection": "close"})
        body = [h11.Data(data=bytes(answer.body))]
        if self.cycle is not None and not self.cycle.response_complete:
            # Whoever works on it is told that nobody listens any more, so that this answer stays the only one.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            body = [] if self.cycle.scope["method"] == "HEAD" else body
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            status = HTTPStatus(answer.status_code)
            head = h11.Response(
                status_code=status, headers=answer.raw_headers, reason=status.phrase.encode()
            )
            for event in (head, *body, h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        # Else it is the body of a request that is being answered already.
        self.transport.close()

    def _should_upgrade(self) -> bool:
        # Nothing here speaks another protocol, which a server may pass over; uvicorn would advise what to install.
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tidy up."""
        super().connection_lost(exc)
        self._wait(None)

    @property
    def _is_answered(self) -> bool:
        """Whether nothing of another request has come since the answer."""
        waits = self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]
        return waits and self.cycle is not None and self.cycle.response_complete

    @property
    def _untaken(self) -> int:
        """Bytes that wait for the client to take others before; those that the system holds are not among them."""
        if self._tls is None:
            return self.transport.get_write_buffer_size()
        # It hands all it can to the transport below, and counts only what that would not have.
        below = self._tls._transport
        return int(self._tls._get_write_buffer_size() + (below.get_write_buffer_size() if below else 0))

    def _take_a_place(self) -> bool:
        """Close the connection that has been idle longest; False where none is. One whose answer is not taken stays
        open for as long as that lasts, and so counts."""
        ours = (one for one in self.connections if isinstance(one, Connection))
        idle = [one for one in ours if one._is_answered and not one._untaken]
        if not idle:
            return False
        oldest = min(idle, key=lambda one: one._idle_since)
        self.connections.discard(oldest)
        oldest._close()
        return True

    def _watch(self) -> None:
        if self.transport.is_closing() or self._is_answered:
            self._wait(KEEP_S)
        elif self.conn.their_state is h11.IDLE:
            self._wait(HEAD_S)
        elif self.cycle is not None and self.cycle.response_complete:
            self._wait(LINGER_S)
        else:
            self._wait(KEEP_S if self.flow.write_paused else None)

    def _wait(self, seconds: float | None) -> None:
        """Hang up in so long; not later where that was said before."""
        if seconds == self._awaited:
            return
        if self._patience is not None:
            self._patience.cancel()
        self._awaited, self._untaken_before = seconds, self._untaken
        self._patience = None if seconds is None else self.loop.call_later(seconds, self._hang_up)

    def _hang_up(self) -> None:
        """Close; what is on its way is waited for as long as enough of it is taken, then it is thrown away."""
        untaken, seconds = self._untaken, self._awaited
        taken = self._untaken_before - untaken
        if taken >= TAKEN_BYTES or (taken > 0 and not untaken):
            self._awaited = None
            self._wait(seconds)
        else:
            self._close()

    def _close(self) -> None:
        """Close now: `close` by itself waits without end for what is not taken, and in TLS for the other's farewell."""
        if not self.transport.is_closing():
            self.transport.close()
        self.transport.abort()


async def _too_many(scope: Scope, receive: Receive, send: Send) -> None:
    words = "so many connections are open that this computer takes no other: try again in a minute"
    headers = {**API_HEADERS, "Connection": "close", "Retry-After": "60"}
    await error_answer("busy", words, headers)(scope, receive, send)
