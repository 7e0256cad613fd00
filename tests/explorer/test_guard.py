"""Who may talk to the server, over real connections: tokens, origins, hosts, sizes, paths; and fuzzed requests."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("nicegui", reason='no explorer: pip install -e ".[explorer]"')

from i2md.explorer.guard import MOST_BYTES, Guard

TOKEN = "a-token-of-the-test"


class Served:
    """A server in a thread."""

    def __init__(self, app: Any) -> None:
        import uvicorn

        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        config = uvicorn.Config(Guard(app, TOKEN, self.port), log_level="critical", lifespan="off", ws="wsproto")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, **headers: str | None
    ) -> tuple[int, Any, bytes]:
        """Status, headers and body of an answer; by default with the cookie of the server."""
        sent = {"Host": f"127.0.0.1:{self.port}", "Cookie": f"i2md-{self.port}={TOKEN}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.putrequest(method, path, skip_host=True)
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)


@pytest.fixture(scope="module")
def served(explorer: Any) -> Iterator[Served]:
    from i2md.explorer.routes import make_app

    server = Served(make_app(explorer))
    yield server
    server.stop()


def test_only_requests_with_the_token_from_here_to_here_are_answered(served: Served) -> None:
    own = f"http://127.0.0.1:{served.port}"
    assert served.ask("/data/points")[0] == 200
    assert served.ask("/data/points", Origin=own)[0] == 200
    for headers in (
        {"Cookie": None},
        {"Cookie": f"i2md-{served.port}=wrong"},
        {"Cookie": f"i2md-{served.port}={TOKEN[:-1]}"},
        {"Cookie": f"i2md-{served.port + 1}={TOKEN}"},
        {"Cookie": '\u00e9; i2md="[;=,'},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://localhost:{served.port}"},
        {"Host": "evil.example"},
        {"Host": f"evil.example:{served.port}"},
        {"Host": "127.0.0.1"},
        {"Host": None},
    ):
        status, _, body = served.ask("/data/points", **headers)
        assert status in (400, 403) and b"\x00" not in body, headers
    assert served.ask("/data/points?token=wrong", Cookie=None)[0] == 403
    assert served.ask("/data/points?token=", Cookie=None)[0] == 403


def test_the_token_leaves_the_address_for_a_cookie_that_other_sites_cannot_use(served: Served) -> None:
    status, headers, _ = served.ask(f"/data/points?token={TOKEN}&x=1", Cookie=None)
    assert (status, headers["Location"]) == (303, "/data/points?x=1")
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert served.ask("/data/points", Cookie=cookie.partition(";")[0])[0] == 200
    for path in ("//evil.example/", "/\\evil.example/", "///evil.example"):
        location = served.ask(f"{path}?token={TOKEN}", Cookie=None)[1]["Location"]
        assert location.startswith("/") and not location.startswith(("//", "/\\"))


def test_answers_may_load_nothing_from_elsewhere(served: Served) -> None:
    headers = served.ask("/data/points")[1]
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'"
    assert not [value for value in policy.values() if "http" in value or "*" in value]
    assert policy["connect-src"] == f"'self' ws://127.0.0.1:{served.port}"
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"


def test_large_bodies_and_other_methods_are_refused(served: Served) -> None:
    assert served.ask("/data/points", "POST", b"x" * (MOST_BYTES + 1))[0] == 413
    assert served.ask("/data/points", "POST", b"x")[0] == 405
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE"):
        assert served.ask("/data/points", method)[0] == 405
    # A body that does not say how long it is.
    with closing(socket.create_connection(("127.0.0.1", served.port), timeout=20)) as raw:
        head = f"POST /data/points HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nCookie: i2md-{served.port}={TOKEN}\r\n"
        raw.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        assert b" 405 " in raw.recv(200)


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Cookie": None}, {"Host": "evil.example"}])
def test_websockets_are_guarded_as_well(served: Served, headers: dict[str, str | None]) -> None:
    upgrade = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    assert served.ask("/_nicegui_ws/socket.io/?EIO=4&transport=websocket", **upgrade, **headers)[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/data/../../etc/passwd",
        "/data/clips/../../labels.csv",
        "/data/clips/%2e%2e%2fx",
        "/etc/passwd",
        "/data/clips/-1",
        "/data/clips/32",
        "/data/clips/999999999",
        "/data/clips/1e3",
        "/data/codes?by=nosuch",
        "/data/codes?by=class&where=drop",
        "/data/codes?by=class&where=load_extension('x')",
        "/data/codes?version=-1",
    ],
)
def test_paths_out_of_the_clips_and_wrong_questions_are_refused(served: Served, path: str) -> None:
    status, _, body = served.ask(path)
    assert status in (400, 404, 422)
    assert b"root:" not in body and b"Traceback" not in body


def test_points_codes_and_skeletons_are_those_of_the_clips(served: Served, explorer: Any) -> None:
    points = np.frombuffer(served.ask("/data/points")[2], "<f4").reshape(-1, 2)
    np.testing.assert_array_equal(points, explorer.collection.points)
    codes = np.frombuffer(served.ask("/data/codes?by=class&where=" + quote("subject = 1"))[2], "<u2")
    clips = explorer.collection.clips
    of_subject = clips.columns["subject"] == 1
    assert of_subject.any() and not of_subject.all()
    np.testing.assert_array_equal(codes, np.where(of_subject, clips.labels, 0xFFFE))
    assert (np.frombuffer(served.ask("/data/codes?by=label")[2], "<u2") == 0xFFFF).all()


ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["/", "/data/points", "/data/codes", "/data/clips/", "/data/clips/0,", "/nosuch/"]),
    ANY,
    st.dictionaries(st.one_of(ANY, st.sampled_from(["by", "where", "version", "token"])), ANY, max_size=4),
    st.sampled_from(["GET", "HEAD", "POST"]),
)
def test_no_request_is_answered_by_an_error_of_the_server(
    served: Served, path: str, rest: str, query: dict[str, str], method: str
) -> None:
    asked = quote(path + rest, safe="/,") + "?" + "&".join(f"{quote(k)}={quote(v)}" for k, v in query.items())
    assert served.ask(asked, method)[0] < 500
