"""`scotopic serve`: the page and the API on one port, from a socket bound to a last clean-up."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from weakref import WeakSet

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from scotopic.errors import ScotopicError, SettingsError
from scotopic.signals import heeded
from scotopic.version import __version__
from scotopic.web.api import api_routes
from scotopic.web.connection import Connection, Door, connections_for, raised_files
from scotopic.web.guard import API, LOOPBACK, Guard, Names
from scotopic.web.limits import Limits
from scotopic.web.log import on_standard_error
from scotopic.web.pages import Pages
from scotopic.web.refusal import error_answer, misasked, refusal_of
from scotopic.web.site import site_files
from scotopic.web.waiting import WaitingLine
from scotopic.web.work import Worker
from scotopic.web.workplace import Workplace, workplace

_ABOUT = (
    "Send a RAW file to the computer that runs scotopic serve; it is enhanced there, in its turn, and fetched. "
    "Nothing is kept longer than half an hour after it was last asked for; where room is wanted failed ones go first, "
    "then what was fetched, then what nobody has fetched for two minutes. HEAD is answered where GET is, "
    "but for events; other methods get 405. Pages of other sites cannot use this."
)

_LOCKED = b"ENCRYPTED"
"""What PEM files say of a key with a passphrase."""

STOP_S = 3
"""How long answers in progress are waited for at the end."""


@dataclass(frozen=True)
class Serving:
    """What `serve` is told."""

    host: str = "localhost"
    port: int = 8000
    """0: any that is free."""
    names: frozenset[str] = frozenset()
    """Names by which the server may be called, beside those of this machine."""
    api: bool = True
    device: str = "auto"
    limits: Limits = field(default_factory=Limits)
    certificate: Path | None = None
    key: Path | None = None
    quiet: bool = False
    """Tell no line a picture on standard error."""
    temporary: Path | None = None
    """Where pictures lie meanwhile; None: where the system has such files."""

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine can reach it."""
        return self.host in LOOPBACK

    @property
    def scheme(self) -> str:
        """https where there is a certificate."""
        return "https" if self.certificate else "http"


def make_app(serving: Serving, place: Workplace, ending: asyncio.Event) -> ASGIApp:
    """The application; pictures on their way and derived files lie in `place`.

    Once `ending` is set all jobs are cancelled. Raises what `site_files` raises.
    """
    pages = Pages(site_files(), place.page)
    names = Names(LOOPBACK | _own_names(serving), serving.names, any_address=not serving.is_local)
    front = _Front(_api_app(serving, place, ending), pages, serving.api)
    return Guard(front, names)


def _own_names(serving: Serving) -> frozenset[str]:
    """What this machine may be called: on its own only by what always means it."""
    if serving.is_local:
        return serving.names
    own = {serving.host, socket.gethostname(), f"{socket.gethostname()}.local", socket.getfqdn()}
    return serving.names | {name.lower() for name in own}


def _api_app(serving: Serving, place: Workplace, ending: asyncio.Event) -> FastAPI:
    line = WaitingLine(place.pictures, Worker(place.folder, serving.device), serving.limits, place.hold)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async def close() -> None:
            await ending.wait()
            await line.close()

        # Closing the line ends the event streams, which would hold up the end of the server.
        tasks = [asyncio.create_task(line.run()), asyncio.create_task(close())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await line.close()

    app = FastAPI(
        title="scotopic",
        version=__version__,
        description=_ABOUT,
        # From where this description lies: a proxy may serve all of it below a path.
        servers=[{"url": ".."}],
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    routes = api_routes(line)
    app.include_router(routes)

    @app.exception_handler(ScotopicError)
    async def refused(_request: Request, error: ScotopicError) -> JSONResponse:
        return refusal_of(error).answer()

    @app.exception_handler(RequestValidationError)
    async def wrong(_request: Request, error: RequestValidationError) -> JSONResponse:
        return misasked(error.errors()).answer()

    @app.exception_handler(404)
    async def nowhere(_request: Request, _error: HTTPException) -> JSONResponse:
        return error_answer("not-found", f"there is no such address; {API}/ tells which there are")

    @app.exception_handler(405)
    async def otherwise(request: Request, _error: HTTPException) -> JSONResponse:
        # Each route knows its own methods alone.
        known = (route for route in routes.routes if isinstance(route, APIRoute))
        methods = {m for r in known if r.matches(request.scope)[0] != Match.NONE for m in r.methods or ()}
        allowed = ", ".join(sorted(methods))
        words = f"this address does not take {request.method}, but {allowed}"
        return error_answer("method", words, {"Allow": allowed})

    @app.exception_handler(Exception)
    async def fault(_request: Request, _error: Exception) -> JSONResponse:
        return error_answer("internal", "a fault in scotopic: please report it")

    return app


class _Front:
    """The API below its path if it is offered, the page's files everywhere else."""

    def __init__(self, app: FastAPI, pages: Pages, api: bool) -> None:
        self._app, self._pages, self._api = app, pages, api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        below = self._api and (path == API or path.startswith(f"{API}/"))
        await (self._app if below or scope["type"] != "http" else self._pages)(scope, receive, send)


def serve(serving: Serving, ready: Callable[[str], None]) -> None:
    """Serve until a signal asks to stop; `ready` is told the address. Nothing of any picture is left.

    Raises SettingsError for a port that is in use and a host that is not this machine's, and what
    `make_app` raises.
    """
    with contextlib.ExitStack() as stack:
        most = connections_for(raised_files())
        sockets = _bound(serving, stack, most)
        place = stack.enter_context(workplace(serving.temporary))
        stack.enter_context(on_standard_error(quiet=serving.quiet))
        ending = asyncio.Event()
        settings = uvicorn.Config(
            make_app(serving, place, ending),
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            http=Connection,
            # Others would take connections without asking the door.
            loop="asyncio",
            limit_concurrency=most,
            lifespan="on",
            timeout_graceful_shutdown=STOP_S,
            ssl_certfile=serving.certificate,
            ssl_keyfile=serving.key,
        )
        port = sockets[0].getsockname()[1]
        host = socket.gethostname() if serving.host in ("0.0.0.0", "::") else serving.host
        host = f"[{host}]" if ":" in host else host
        try:
            settings.load()
        except OSError as error:
            raise SettingsError(_why_no_certificate(error, serving)) from error
        _Server(settings, ending, lambda: ready(f"{serving.scheme}://{host}:{port}/")).run(sockets)


class _Server(uvicorn.Server):
    """Says when it is ready; signals end it in order, and are not raised again once it has ended."""

    def __init__(self, config: uvicorn.Config, ending: asyncio.Event, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ending, self._ready = ending, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._ending.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()

        def stop(number: int, frame: FrameType | None) -> None:
            # Through the loop, which sleeps otherwise.
            loop.call_soon_threadsafe(self.handle_exit, number, frame)

        before = {number: signal.signal(number, stop) for number in heeded()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _bound(serving: Serving, stack: contextlib.ExitStack, most: int) -> list[socket.socket]:
    """Sockets on the host's addresses for so many connections; of localhost both, as browsers try either first."""
    try:
        found = socket.getaddrinfo(
            serving.host, serving.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise SettingsError(f"{serving.host}: is no address of this machine ({error.strerror})") from error
    addresses = sorted({(family, address) for family, _, _, _, address in found}, key=lambda a: a[0])
    sockets: list[socket.socket] = []
    opened: WeakSet[socket.socket] = WeakSet()
    port = serving.port
    for family, address in addresses:
        bound = stack.enter_context(Door(family, most, opened))
        if os.name == "posix":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            bound.bind((address[0], port, *address[2:]))
        except OSError as error:
            if sockets and error.errno != errno.EADDRINUSE:
                # A machine that knows the address and has switched its protocol off.
                continue
            raise SettingsError(_why(error, serving)) from error
        port = bound.getsockname()[1]
        sockets.append(bound)
    return sockets


def _why_no_certificate(error: OSError, serving: Serving) -> str:
    with contextlib.suppress(OSError):
        is_there = not isinstance(error, FileNotFoundError)
        if is_there and serving.key is not None and _LOCKED in serving.key.read_bytes():
            return (
                f"{serving.key}: is locked by a passphrase, which nobody gave or which is another; give a key "
                "without one (openssl pkey -in KEY -out FILE makes it)"
            )
    return f"the certificate or its key cannot be used ({error})"


def _why(error: OSError, serving: Serving) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {serving.port} of {serving.host} is in use, perhaps by another scotopic serve: stop that, or "
            "give another with --port (0 takes any that is free)"
        )
    if error.errno == errno.EACCES:
        return f"port {serving.port} is kept for the system: give one from 1024 on with --port"
    return f"{serving.host}: cannot be served on ({error.strerror}); give an address of this machine with --host"
