"""Who may talk to the server: requests with its token, from its own pages, to its own address, and of a small size.

A page of another origin cannot know the token; a name that another site lets point to this machine (DNS rebinding) is
not the server's address; and a link that another site makes carries no cookie (SameSite=Strict). Pages of the server
may load nothing from elsewhere (Content-Security-Policy).
"""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Bytes of the body of a request, and of a message from a page.
MOST_BYTES = 1 << 20
_HOSTS = ("127.0.0.1", "localhost")
_METHODS = ("GET", "HEAD", "POST")
# NiceGUI compiles its templates in the page, which is an 'unsafe-eval', and writes its styles and scripts into it.
_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src"
    " 'self' data: blob:; font-src 'self' data:; connect-src 'self' ws://{host}; worker-src 'self' blob:; base-uri"
    " 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Guard:
    """An ASGI application that lets through what may pass to another one.

    Args:
        app: The other one.
        token: What a page's first address holds as `?token=`; later a cookie does.
        port: The port of the server.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self.app = app
        self._token = token
        # Cookies do not tell ports apart.
        self.cookie = f"i2md-{port}"
        self._hosts = {f"{host}:{port}" for host in _HOSTS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a websocket."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        status, why = self._refusal(scope, headers)
        if status:
            await _refuse(scope, send, status, why)
            return
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
            return
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if any(name == "token" for name, _ in query):
            # The token leaves the address, and with it the history of the browser.
            rest = urlencode([pair for pair in query if pair[0] != "token"])
            where = _own_path(scope["path"]) + (f"?{rest}" if rest else "")
            cookie = f"{self.cookie}={self._token}; HttpOnly; SameSite=Strict; Path=/"
            await _answer(send, 303, [("Location", where), ("Set-Cookie", cookie)])
            return
        policy = _POLICY.format(host=headers[b"host"])
        limited = _Limited(receive)
        try:
            await self.app(scope, limited, _with_headers(send, {**_HEADERS, "Content-Security-Policy": policy}))
        except _TooLarge:
            await _answer(send, 413, [], "the request is too large")

    def _refusal(self, scope: Scope, headers: dict[bytes, str]) -> tuple[int, str]:
        """The status and the reason of a refusal; status 0 where there is none."""
        host = headers.get(b"host", "")
        if host not in self._hosts:
            return 403, "this is not the address of the server"
        origin = headers.get(b"origin")
        if origin is not None and origin != f"http://{host}":
            return 403, "the request comes from another site"
        if not self._is_known(scope, headers):
            return 403, "open the address that i2md explore printed, with its token"
        if scope["type"] == "http" and scope["method"] not in _METHODS:
            return 405, "no such method"
        length = headers.get(b"content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length[:20]) > MOST_BYTES:
            return 413, "the request is too large"
        return 0, ""

    def _is_known(self, scope: Scope, headers: dict[bytes, str]) -> bool:
        given = [value for name, value in parse_qsl(scope["query_string"].decode("latin-1")) if name == "token"]
        try:
            cookies = SimpleCookie(headers.get(b"cookie", ""))
            given += [cookies[self.cookie].value] if self.cookie in cookies else []
        except CookieError:
            pass
        # compare_digest takes a time that does not depend on where they differ.
        return any(hmac.compare_digest(each.encode(), self._token.encode()) for each in given)


class _TooLarge(Exception):
    """A body is longer than it said, or than allowed."""


class _Limited:
    """The body of a request, up to MOST_BYTES."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self._taken = receive, 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._taken += len(message.get("body", b""))
        if self._taken > MOST_BYTES:
            raise _TooLarge
        return message


def _own_path(path: str) -> str:
    """A path on this server: one that begins with two slashes would be the name of another."""
    return "/" + urlencode({"": path.lstrip("/\\")}, safe="/")[1:]


def _with_headers(send: Send, extra: dict[str, str]) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            added = [(name.encode(), value.encode("latin-1")) for name, value in extra.items()]
            message = {**message, "headers": [*message.get("headers", []), *added]}
        await send(message)

    return sending


async def _refuse(scope: Scope, send: Send, status: int, why: str) -> None:
    if scope["type"] == "websocket":
        # Before the handshake is accepted, this answers it with 403.
        await send({"type": "websocket.close", "code": 1008})
    else:
        await _answer(send, status, [], why)


async def _answer(send: Send, status: int, headers: list[tuple[str, str]], text: str = "") -> None:
    body = f"{text}\n".encode() if text else b""
    sent = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), *headers]
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in (*sent, *_HEADERS.items())]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
