"""Connections of `scotopic serve`: none that says nothing stays, and there are never too many."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from weakref import WeakSet

import pytest

pytest.importorskip("fastapi", reason="the web extra is not installed")

import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from scotopic.web import connection
from scotopic.web.connection import Connection, Door
from scotopic.web.headers import API_HEADERS

PATIENCE_S = 60
BIG = 32 << 20
"""More than the system holds of an answer that is not taken."""
PIECE = 256 << 10
Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _length(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] in ("/whole", "/pieces"):
        size = BIG if scope["path"] == "/whole" else PIECE
        head = [(b"content-length", str(BIG).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        for end in range(size, BIG + 1, size):
            await send({"type": "http.response.body", "body": bytes(size), "more_body": end < BIG})
        return
    try:
        body = b"" if scope["path"] == "/refused" else await Request(scope, receive).body()
    except ClientDisconnect:
        body = b""
    await PlainTextResponse(str(len(body)))(scope, receive, send)


def with_server(
    use: Callable[[Callable[[], Awaitable[Opened]]], Awaitable[None]],
    most: int | None = None,
    log_level: str = "error",
    secret: ssl.SSLContext | None = None,
) -> None:
    """Run a server in this process as long as `use` takes, which is told how to connect."""

    trusting = None if secret is None else ssl.create_default_context()
    if trusting is not None:
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE

    async def all_of_it() -> None:
        settings = uvicorn.Config(
            _length,
            port=0,
            http=Connection,
            log_level=log_level,
            log_config=None,
            ws="none",
            lifespan="off",
            limit_concurrency=most,
            timeout_graceful_shutdown=1,
        )
        settings.load()
        settings.ssl = secret
        server = uvicorn.Server(settings)
        server.lifespan = settings.lifespan_class(settings)
        door = Door(socket.AF_INET, most or 100, WeakSet())
        door.bind(("127.0.0.1", 0))
        await server.startup([door])
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            async with asyncio.timeout(PATIENCE_S):
                await use(lambda: asyncio.open_connection("127.0.0.1", port, ssl=trusting))
        finally:
            await server.shutdown()

    asyncio.run(all_of_it())


HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"


@pytest.mark.parametrize("begun", [b"", b"POST / HTTP/1.1\r\nHo"], ids=["silent", "half"])
def test_a_connection_whose_request_does_not_come_is_closed(monkeypatch, begun):
    monkeypatch.setattr(connection, "HEAD_S", 0.05)

    async def use(connect: Callable[[], Awaitable[Opened]]) -> None:
        reader, writer = await connect()
        writer.write(begun)
        assert await reader.read() == b""
        writer.close()

    with_server(use)


def test_a_body_may_take_longer_than_a_head(monkeypatch):
    monkeypatch.setattr(connection, "HEAD_S", 0.05)

    async def use(connect: Callable[[], Awaitable[Opened]]) -> None:
        reader, writer = await connect()
        writer.write(HEAD)
        for piece in (b"a", b"b", b"c"):
            await asyncio.sleep(0.1)
            writer.write(piece)
        assert await reader.readuntil(b"\r\n\r\n3")
        writer.close()

    with_server(use)


async def _answered(opened: Opened) -> None:
    opened[1].write(HEAD + b"abc")
    assert b"200" in await opened[0].readuntil(b"\r\n\r\n3")


def test_a_connection_is_kept_for_the_next_request_longer_than_proxies_keep_theirs(monkeypatch):
    assert connection.KEEP_S > 120
    monkeypatch.setattr(connection, "HEAD_S", 0.02)

    async def use(connect: Callable[[], Awaitable[Opened]]) -> None:
        reader, writer = await connect()
        await _answered((reader, writer))
        await asyncio.sleep(0.1)
        monkeypatch.setattr(connection, "KEEP_S", 0.02)
        await _answered((reader, writer))
        assert await reader.read() == b""
        writer.close()

    with_server(use)


def test_the_next_head_has_to_come_whole_once_it_has_begun(monkeypatch):
    monkeypatch.setattr(connection, "HEAD_S", 0.05)

    async def use(connect: Callable[[], Awaitable[Opened]]) -> None:
        reader, writer = await connect()
        # Once by itself, once on the heels of a whole one.
        for begun in (b"POST", HEAD + b"abcPOST"):
            await _answered((reader, writer))
            writer.write(begun)
            assert (await reader.read()).endswith(b"3") == (len(begun) > 4)
            writer.close()
            reader, writer = await connect()
        writer.close()

    with_server(use)


def test_where_there_is_no_room_who_is_idle_longest_goes():
    async def use(connect: Callable[[], Awaitable[Opened]]) -> None:
        first, second = await connect(), await connect()
        await _answered(second)
        await _answered(first)
        third = await connect()
        await _answered(third)
        assert await second[0].read() == b""
        await _answered(first)
        for _, writer in (first, second, third):
            writer.close()

    with_server(use, most=2)


@pytest.fixture
def served(monkeypatch) -> list[Connection]:
    """The connections as the server has them, in the order in which they came."""
    found = []
    made = Connection.connection_made

    def watched(self: Connection, transport: asyncio.Transport) -> None:
        found.append(self)
        made(self, transport)

    monkeypatch.setattr(Connection, "connection_made", watched)
    return found


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.01)


async def _untaken(
    opened: Opened, served: list[Connection], start: bytes = b"/whole HTTP/1.1"
) -> Connection:
    """The server's end of a connection whose client takes nothing of a large answer."""
    opened[1].write(HEAD.replace(b"/ HTTP/1.1", start) + b"abc")
    client = opened[1].get_extra_info("sockname")
    while True:
        for one in served:
            if one.client == client and one.cycle is not None and one._untaken > 0:
                return one
        await asyncio.sleep(0.01)


def test_an_answer_that_is_not_taken_keeps_its_place_and_others_are_told(served):
    async def use(connect: Callable[[], Awaitable[Opened]]) -> None:
        held = []
        for _ in range(2):
            opened = await connect()
            held.append(opened)
            await _untaken(opened, served)
        for _ in range(3):
            reader, writer = await connect()
            writer.write(HEAD + b"abc")
            assert (await reader.read()).startswith(b"HTTP/1.1 503")
            writer.close()
            await _until(lambda: len(served[0].connections) == 2)
        for _, writer in held:
            writer.close()

    with_server(use, most=2)


@pytest.mark.parametrize(
    "start",
    [b"/whole HTTP/1.1", b"/pieces HTTP/1.1", b"/whole HTTP/1.1\r\nConnection: close"],
    ids=["whole", "pieces", "last"],
)
@pytest.mark.parametrize("secret", [False, True], ids=["plain", "TLS"])
def test_who_takes_nothing_of_an_answer_is_cut_off(monkeypatch, served, tmp_path, start, secret):
    async def use(connect: Callable[[], Awaitable[Opened]]) -> None:
        opened = await connect()
        monkeypatch.setattr(connection, "KEEP_S", 0.05)
        one = await _untaken(opened, served, start)
        await _until(lambda: one not in one.connections)
        opened[1].transport.abort()

    with_server(use, secret=_secret(tmp_path) if secret else None)


def test_who_takes_an_answer_slowly_is_waited_for(served):
    async def use(connect: Callable[[], Awaitable[Opened]]) -> None:
        opened = await connect()
        one = await _untaken(opened, served)
        await _until(lambda: one._awaited is not None)
        for _ in range(2):
            before = one._untaken_before
            while one._untaken > before - connection.TAKEN_BYTES:
                await opened[0].read(1 << 16)
            one._hang_up()
            assert not one.transport.is_closing()
        while not one.transport.is_closing():
            one._hang_up()
            await asyncio.sleep(0.1)
        opened[1].close()

    with_server(use)


def _secret(folder: Path) -> ssl.SSLContext:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    made = ["-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost"]
    subprocess.run(["openssl", "req", "-x509", *kind, *made], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def test_who_says_no_farewell_in_tls_makes_room_all_the_same(served, tmp_path):
    async def use(connect: Callable[[], Awaitable[Opened]]) -> None:
        first = await connect()
        await _answered(first)
        # From here on it hears nothing.
        first[1].transport.pause_reading()
        forgotten = served[0].transport.get_extra_info("socket")
        others = [await connect() for _ in range(2)]
        await _until(lambda: forgotten.fileno() == -1)
        for _, writer in (first, *others):
            writer.transport.abort()

    with_server(use, most=2, secret=_secret(tmp_path))


def test_a_refused_body_is_not_heard_out_for_ever(monkeypatch):
    monkeypatch.setattr(connection, "LINGER_S", 0.05)

    async def use(connect: Callable[[], Awaitable[Opened]]) -> None:
        reader, writer = await connect()
        writer.write(HEAD.replace(b"/ ", b"/refused ") + b"a")
        assert b"200" in await reader.readline()
        writer.write(b"b")
        await reader.read()
        writer.close()

    with_server(use)


@pytest.mark.parametrize(
    "sent",
    [b"hello\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost : b\r\n\r\n", b"\x16\x03\x01" + bytes(200)],
    ids=["words", "header", "TLS"],
)
def test_what_is_no_http_is_answered_as_every_error_is(sent):
    async def use(connect: Callable[[], Awaitable[Opened]]) -> None:
        reader, writer = await connect()
        writer.write(sent)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert json.loads(body)["error"]["code"] == "malformed"
        headers = head.decode().lower()
        for name, value in API_HEADERS.items():
            assert f"{name}: {value}".lower() in headers
        assert f"content-length: {len(body)}" in headers
        writer.close()

    with_server(use)


@pytest.mark.parametrize("early", [True, False], ids=["at once", "later"])
@pytest.mark.parametrize("method", [b"HEAD", b"GET", b"POST"])
@pytest.mark.parametrize("path", [b"/", b"/refused"])
def test_a_body_that_turns_out_to_be_none_is_answered_once_and_without_a_fault(caplog, path, method, early):
    async def use(connect: Callable[[], Awaitable[Opened]]) -> None:
        reader, writer = await connect()
        writer.write(method + b" " + path + b" HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        if not early:
            await asyncio.sleep(0.05)
        writer.write(b"no size\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        if path == b"/refused" and not early:
            return
        assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b"content-length: " in head.lower()
        assert body == b"" if method == b"HEAD" else json.loads(body)["error"]["code"] == "malformed"

    with_server(use)
    assert not [record for record in caplog.records if record.exc_info]


def test_what_is_no_http_behind_a_head_request_is_answered_with_a_body():
    async def use(connect: Callable[[], Awaitable[Opened]]) -> None:
        reader, writer = await connect()
        writer.write(b"HEAD /refused HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"200" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"hello\r\n\r\n")
        assert json.loads((await reader.read()).partition(b"\r\n\r\n")[2])["error"]["code"] == "malformed"
        writer.close()

    with_server(use)


def test_a_body_that_turns_out_to_be_none_behind_its_answer_ends_the_connection(caplog):
    async def use(connect: Callable[[], Awaitable[Opened]]) -> None:
        reader, writer = await connect()
        writer.write(b"POST /refused HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert b"200" in await reader.readuntil(b"\r\n\r\n0")
        writer.write(b"no size\r\n")
        assert await reader.read() == b""
        writer.close()

    with_server(use)
    assert not [record for record in caplog.records if record.exc_info]


def test_who_asks_for_another_protocol_is_answered_in_this_one_without_advice(caplog):
    async def use(connect: Callable[[], Awaitable[Opened]]) -> None:
        reader, writer = await connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert b"200" in await reader.readline()
        writer.close()

    with caplog.at_level("WARNING", "uvicorn.error"):
        with_server(use, log_level="warning")
    assert not caplog.records


def test_connections_beyond_the_limit_are_answered_in_words_and_far_beyond_it_cut():
    async def use(connect: Callable[[], Awaitable[Opened]]) -> None:
        held = [await connect() for _ in range(2)]
        reader, writer = await connect()
        # The fourth is beyond one and a half times the limit.
        cut, other = await connect()
        with contextlib.suppress(ConnectionError):
            assert await cut.read() == b""
        writer.write(HEAD + b"abc")
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"too many" in answer or b"so many connections" in answer
        for _, opened in (*held, (reader, writer), (cut, other)):
            opened.close()
        await asyncio.sleep(0)
        reader, writer = await connect()
        while True:
            writer.write(HEAD + b"abc")
            if b"200" in await reader.readline():
                break
            writer.close()
            reader, writer = await connect()
        writer.close()

    with_server(use, most=2)


def test_answers_do_not_wait_for_what_was_acknowledged(monkeypatch):
    accepted = []
    made = Connection.connection_made

    def watched(self: Connection, transport: asyncio.Transport) -> None:
        made(self, transport)
        accepted.append(
            transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        )

    monkeypatch.setattr(Connection, "connection_made", watched)

    async def use(connect: Callable[[], Awaitable[Opened]]) -> None:
        reader, writer = await connect()
        writer.write(HEAD + b"abc")
        assert b"200" in await reader.readline()
        writer.close()

    with_server(use)
    assert len(accepted) == 1
    assert accepted[0]


@pytest.mark.skipif(os.name != "posix", reason="this system has no such limit")
def test_descriptors_are_asked_for_and_connections_keep_well_below_them():
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(300, before[1]), before[1]))
        assert connection.raised_files() == min(connection.FILES, before[1])
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(connection.FILES, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    for files in (64, 256, 1024, 100_000):
        assert 2.5 * connection.connections_for(files) < files
