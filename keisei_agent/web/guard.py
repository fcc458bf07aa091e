"""What stands between network and page: who may ask, how much at a time, and what a browser may do."""

import hmac
import ipaddress
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, quote

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "keisei-token"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""No script but the page's own, nothing from elsewhere, and no page may frame this one."""
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_OWN_NAMES = {"localhost", "127.0.0.1", "::1"}
_STALLED = 30.0
"""Seconds after which a browser that takes nothing is let go."""


def is_local(host: str) -> bool:
    """Whether an address is this machine's own, reached by nobody else."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class Limits:
    """How much is served at a time."""

    requests: int = 96
    """At a time, streams included."""
    body: int = 512 * 2**10
    """Bytes that are taken with one request."""


class Guard:
    """Refuses what no page of this server asks for, and tells browsers what they must not do.

    Args:
        app: what answers the rest.
        token: that everybody has to know; None where only this machine can ask.
        limits: of requests and their bodies.
    """

    def __init__(self, app: ASGIApp, token: str | None, limits: Limits | None = None) -> None:
        self.app = app
        self.token = token
        self.limits = limits or Limits()
        self.open = 0
        """Requests that are being answered."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # there are no sockets of any other kind
        answer = self._refuse(Headers(scope=scope), scope)
        if answer is None and self.open >= self.limits.requests:
            answer = PlainTextResponse("too many requests at a time", 503, {"retry-after": "2"})
        self.open += 1
        try:
            app = answer or self.app
            await app(scope, self._bounded(receive), _with_headers(send))
        except TimeoutError:
            pass  # the browser is gone, or asleep: the connection is closed
        finally:
            self.open -= 1

    def _refuse(self, headers: Headers, scope: Scope) -> PlainTextResponse | RedirectResponse | None:
        host = headers.get("host", "")
        if self.token is None and _name_of(host) not in _OWN_NAMES:
            return PlainTextResponse("this address is for this machine alone", 421)
        if self.token is not None:
            asked = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
            if _same(asked, self.token):
                answer = RedirectResponse(quote(scope["path"]), 303)
                answer.set_cookie(COOKIE, self.token, httponly=True, samesite="strict", max_age=30 * 86400)
                return answer
            if not _same(_cookie(headers), self.token):
                return PlainTextResponse("open the link that keisei-web has printed", 401)
        if scope["method"] not in ("GET", "HEAD") and headers.get("origin") != f"{scope['scheme']}://{host}":
            return PlainTextResponse("asked by another page", 403)
        return None

    def _bounded(self, receive: Receive) -> Receive:
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self.limits.body:
                raise HTTPException(413, f"more than {self.limits.body} bytes")
            return message

        return bounded


def _with_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers.setdefault("cache-control", "no-cache")
        with anyio.fail_after(_STALLED):
            await send(message)

    return guarded


def _name_of(host: str) -> str:
    """The name in a Host header, without the port and the brackets of IPv6."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())
