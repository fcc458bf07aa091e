"""The server as a process: alone, or beside a training that never waits for it."""

import asyncio
import http.client
import json
import logging
import multiprocessing
import secrets
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn

from keisei_agent.web.guard import is_local
from keisei_agent.web.server import Server, build_app

logger = logging.getLogger(__name__)

LINGER = 300.0
"""Seconds without a page after which a server ends whose training is gone."""
_CONNECTIONS = 160
_BACKLOG = 64


class AddressError(ValueError):
    """The server cannot listen there; the text names the setting and says why."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: address of this machine, or a name of it.
        port: 0 takes any free one.

    Raises:
        AddressError: somebody else listens there, or the address is not this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise AddressError(f"web.host {host}, web.port {port}: {error.strerror or error}") from None


def address_of(found: socket.socket, token: str | None) -> str:
    """The link to open, with the token if there is one."""
    host, port = found.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"?token={token}" if token else "")


def new_token(host: str) -> str | None:
    """A token for everybody who asks; None where only this machine can."""
    return None if is_local(host) else secrets.token_urlsafe(24)


def serve(found: socket.socket, root: Path, token: str | None) -> None:
    """Answer until a signal ends it.

    Args:
        found: listens.
        root: folder of the runs.
        token: see `new_token`.
    """
    server = Server(root)
    _make(server, token).run(sockets=[found])


@contextmanager
def beside(host: str, port: int, root: Path) -> Iterator[str]:
    """Run the server as a process of its own; yields the link to open.

    It ends with this one, unless this one is killed: then it goes on for as long as a page is open.  If the
    same runs are shown at the address already, that page is taken.

    Raises:
        AddressError: the address cannot be had; nothing was started.
    """
    token = new_token(host)
    try:
        found = listen(host, port)
    except AddressError:
        if token or _shown_at(host, port) != str(root.absolute()):
            raise
        yield f"http://{host}:{port}/"
        return
    with found:
        link = address_of(found, token)
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_serve_beside, args=(found, root, token), daemon=True, name="web")
        process.start()
    try:
        yield link
    finally:
        process.terminate()
        process.join()


def _serve_beside(found: socket.socket, root: Path, token: str | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that trains ends this one
    server = Server(root)
    running = _make(server, token)
    with suppress(SystemExit):
        asyncio.run(_until_alone(running, server, found))


async def _until_alone(running: "_Uvicorn", server: Server, found: socket.socket) -> None:
    """Serve; end once the process that trains is gone, and nobody looks on any more."""
    running.own_signals = False
    parent = multiprocessing.parent_process()
    assert parent is not None
    serving = asyncio.create_task(running.serve([found]))
    needed = time.monotonic()
    while not serving.done():
        await asyncio.wait([serving], timeout=1.0)
        if parent.is_alive() or server.streams:
            needed = time.monotonic()
        elif time.monotonic() - needed > LINGER:
            running.should_exit = True


class _Uvicorn(uvicorn.Server):
    """Uvicorn that ends streams when it ends."""

    page: Server
    own_signals = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take Ctrl-C and SIGTERM, unless another process decides when to end."""
        if not self.own_signals:
            yield
            return
        with super().capture_signals():
            yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End, streams first."""
        self.page.closing = True
        await super().shutdown(sockets)


def _make(server: Server, token: str | None) -> _Uvicorn:
    config = uvicorn.Config(
        build_app(server, token=token),
        log_config=None,
        access_log=False,
        ws="none",
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=2,
    )
    made = _Uvicorn(config)
    made.page = server
    return made


def _shown_at(host: str, port: int) -> str | None:
    """The runs that a page at this machine's address shows; None if there is no such page."""
    connection = http.client.HTTPConnection(host, port, timeout=1.0)
    try:
        connection.request("GET", "/api/about")
        found = json.loads(connection.getresponse().read(4096))
        return str(found["runs"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return None
    finally:
        connection.close()
