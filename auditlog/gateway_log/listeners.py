"""Where lines come in: datagrams (nginx's syslog) over UDP and unix sockets, lines over TCP (Caddy), batches over HTTP.

Nothing that comes over UDP or TCP says who sent it, so those take lines from TRUSTED_PROXIES alone; a unix socket takes
them from whom its file's rights let in, HTTP from whoever has a gateway token.
"""

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import uvicorn

from auditlog import origin
from auditlog.gateway_log.collector import OVERSIZE, UNTRUSTED
from auditlog.gateway_log.lines import LINE_LIMIT
from auditlog.gateway_log.receiver import Intake, Receiver

DEFAULT = ("udp://127.0.0.1:8002", "tcp://127.0.0.1:8002")
SCHEMES = ("udp", "unix", "tcp", "http")
CONNECTIONS = 64  # of gateways at once, over TCP and over HTTP each
RECEIVE_BYTES = 4_194_304  # that the system keeps of datagrams while the process is busy
ROOM_SECONDS = 0.05  # between looks whether there is room again
SOCKET_MODE = 0o660


class BadListenerError(Exception):
    """An address that is none to listen on, or that cannot be had; says which and why."""


class Listener(NamedTuple):
    """One address to listen on: `udp://127.0.0.1:8002`, `unix:///run/keyportal/calls.sock`, …"""

    scheme: str
    host: str
    port: int
    path: Path

    @classmethod
    def of(cls, text: str) -> "Listener":
        """:raises BadListenerError: if the text is not one."""
        try:
            parts = urlsplit(text)
            host, port = parts.hostname or "", parts.port or 0
        except ValueError:
            raise BadListenerError(f"{text} is not an address to listen on.") from None
        is_path, is_address = bool(parts.path.strip("/")) and not parts.netloc, bool(host and port)
        if parts.scheme not in SCHEMES or not (is_path if parts.scheme == "unix" else is_address):
            example = "unix:///run/keyportal/calls.sock" if parts.scheme == "unix" else f"{DEFAULT[0]}"
            raise BadListenerError(f"{text} is not an address to listen on, such as {example}.")
        return cls(parts.scheme, host, port, Path(parts.path))

    def __str__(self) -> str:
        return f"unix://{self.path}" if self.scheme == "unix" else f"{self.scheme}://{self.host}:{self.port}"


@asynccontextmanager
async def listening(listeners: Sequence[Listener], intake: Intake, receiver: Receiver) -> AsyncIterator[None]:
    """Listen on all of them, or on none.

    :raises BadListenerError: if one cannot be had.
    """
    opened = {"udp": _udp, "unix": _unix, "tcp": _tcp}
    async with AsyncExitStack() as stack:
        for one in listeners:
            entered = _http(one, receiver) if one.scheme == "http" else opened[one.scheme](one, intake)
            try:
                await stack.enter_async_context(entered)
            except OSError as failure:
                raise BadListenerError(f"{one} cannot be listened on: {failure.strerror or failure}.") from None
        yield


# --- Datagrams ----------------------------------------------------------------------------------------------------
class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, intake: Intake, is_let_in: Callable[[str], bool]) -> None:
        self._intake, self._is_let_in = intake, is_let_in

    def datagram_received(self, data: bytes, addr: tuple[str, int] | str | None) -> None:
        if self._is_let_in(addr[0] if isinstance(addr, tuple) else ""):
            self._intake.take(data)
        else:
            self._intake.count(UNTRUSTED)


@asynccontextmanager
async def _udp(one: Listener, intake: Intake) -> AsyncIterator[None]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Datagrams(intake, _is_trusted), local_addr=(one.host, one.port)
    )
    with suppress(OSError):  # the system may allow less
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    try:
        yield
    finally:
        transport.close()


@asynccontextmanager
async def _unix(one: Listener, intake: Intake) -> AsyncIterator[None]:
    _remove_socket(one.path)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Datagrams(intake, lambda _: True), local_addr=str(one.path), family=socket.AF_UNIX
    )
    one.path.chmod(SOCKET_MODE)
    try:
        yield
    finally:
        transport.close()
        _remove_socket(one.path)


def _remove_socket(path: Path) -> None:
    """A socket's file outlives a process that was killed. Another file there is somebody's: binding then fails."""
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            path.unlink()


def _is_trusted(host: str) -> bool:
    try:
        return origin.is_trusted_proxy(ip_address(host))
    except ValueError:
        return False


# --- Lines --------------------------------------------------------------------------------------------------------
@asynccontextmanager
async def _tcp(one: Listener, intake: Intake) -> AsyncIterator[None]:
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 -- this is one
        tasks.add(task)
        try:
            if len(tasks) <= CONNECTIONS and _is_trusted(str(writer.get_extra_info("peername")[0])):
                await _take_lines(reader, intake)
            else:
                intake.count(UNTRUSTED)
        except (OSError, asyncio.CancelledError):
            pass  # the gateway went, or we go
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(connected, one.host, one.port)
    try:
        yield
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _take_lines(reader: asyncio.StreamReader, intake: Intake) -> None:
    """Until the gateway closes. A line that is too long is passed over to its end, so that no part of it is one."""
    rest, passing_over = b"", False
    while data := await reader.read(LINE_LIMIT):
        *lines, rest = (rest + data).split(b"\n")
        if passing_over and lines:
            lines, passing_over = lines[1:], False
        for line in lines:
            while not intake.has_room:  # noqa: ASYNC110 -- the gateway waits while nothing is read, and loses nothing
                await asyncio.sleep(ROOM_SECONDS)
            intake.take(line)
        if passing_over or len(rest) > LINE_LIMIT:
            if not passing_over:
                intake.count(OVERSIZE)
            rest, passing_over = b"", True
    if rest:
        intake.take(rest)


# --- HTTP ---------------------------------------------------------------------------------------------------------
class _HttpServer(uvicorn.Server):
    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]  # what uvicorn's does, not how
        """Signals are the whole process's, which stops this server with the others."""
        return nullcontext()


@asynccontextmanager
async def _http(one: Listener, receiver: Receiver) -> AsyncIterator[None]:
    config = uvicorn.Config(
        receiver, log_config=None, access_log=False, lifespan="off", ws="none", proxy_headers=False,
        server_header=False, limit_concurrency=CONNECTIONS, timeout_graceful_shutdown=1,
    )  # fmt: skip
    family = socket.AF_INET6 if ":" in one.host else socket.AF_INET
    with socket.create_server((one.host, one.port), family=family) as listener:
        server = _HttpServer(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield
        finally:
            server.should_exit = True
            await task
