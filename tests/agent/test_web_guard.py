"""Who may ask the page's server, and how much."""

import os
from pathlib import Path

import anyio
import pytest

pytest.importorskip("starlette")

from starlette.responses import PlainTextResponse
from starlette.types import Message
from web_runs import ORIGIN, asking

from keisei_agent.web.guard import Guard, Limits, is_local
from keisei_agent.web.process import AddressError, address_of, listen, new_token
from keisei_agent.web.server import Server, build_app

TOKEN = "a-token"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a run, and a secret beside it."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/config.yaml").write_text("{}")
    (tmp_path / "secret/games.jsonl").write_text("secret")
    (tmp_path / "runs/one").mkdir(parents=True)
    (tmp_path / "runs/one/config.yaml").write_text("{}")
    if hasattr(os, "symlink"):
        (tmp_path / "runs/link").symlink_to(tmp_path / "secret")
    return tmp_path / "runs"


def test_every_answer_says_what_browsers_must_not_do(root: Path) -> None:
    with asking(root) as client:
        for path in ("/", "/static/app.js", "/api/runs", "/api/runs/none", "/nothing"):
            headers = client.get(path).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"


def test_the_page_has_nothing_from_elsewhere() -> None:
    static = Path(Guard.__call__.__code__.co_filename).with_name("static")
    for path in static.rglob("*.*"):
        if path.suffix in (".js", ".html", ".css") and "vendor" not in path.parts:
            text = path.read_text("utf-8").replace("http://www.w3.org/", "")
            assert "http://" not in text and "https://" not in text, path
            assert " style=" not in text and "innerHTML" not in text and "eval(" not in text, path


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/static/..%2fserver.py",
        "/static//etc/passwd",
        "/api/runs/..",
        "/api/runs/%2e%2e",
        "/api/runs/..%2fsecret",
        "/api/runs/%2e%2e%2fsecret/games",
        "/api/runs/link",
        "/api/runs/link/games",
        "/api/runs/%2fetc",
        "/api/runs/one%00",
        "/api/runs/one/games/..%2f..%2fsecret",
    ],
)
def test_no_path_leaves_the_folder(root: Path, path: str) -> None:
    with asking(root) as client:
        answer = client.get(path)
        assert answer.status_code == 404, answer.text
        assert "secret" not in answer.text and "root:" not in answer.text
        body = {"player": {"kind": "checkpoint", "run": path, "name": "latest"}}
        assert client.post("/api/analysis", json=body).status_code == 400
        assert [run["name"] for run in client.get("/api/runs").json()["runs"]] == ["one"]


def test_players_are_chosen_and_never_made_from_text(root: Path) -> None:
    with asking(root) as client:
        for name in ("usi:sh -c true", "python:os.system", "minimax:6", "level:1"):
            for kind in ("simple", "level", "checkpoint", "usi"):
                side = {"kind": kind, "name": name}
                answer = client.post("/api/tables", json={"black": side, "white": {"kind": "person"}})
                assert answer.status_code == 400, side


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "https://localhost", "http://localhost:1"]
)
def test_only_the_page_changes_anything(root: Path, origin: str | None) -> None:
    body = {"black": {"kind": "person"}, "white": {"kind": "person"}}
    with asking(root) as client:
        assert client.post("/api/tables", json=body).status_code == 200
        del client.headers["origin"]
        headers = {} if origin is None else {"origin": origin}
        assert client.post("/api/tables", json=body, headers=headers).status_code == 403
        text = client.post("/api/tables", content=b"{}", headers={"origin": ORIGIN})
        assert text.status_code == 415  # what a form of another page could send


def test_another_name_of_this_machine_is_refused(root: Path) -> None:
    with asking(root) as client:
        assert client.get("/api/runs", headers={"host": "evil.example"}).status_code == 421
        assert client.get("/api/runs", headers={"host": "127.0.0.1:7870"}).status_code == 200
        assert client.get("/api/runs", headers={"host": "[::1]:7870"}).status_code == 200


def test_a_token_is_demanded(root: Path) -> None:
    with asking(root, token=TOKEN) as client:
        for path in ("/", "/static/app.js", "/api/runs", "/api/events"):
            assert client.get(path).status_code == 401
            assert client.get(path, params={"token": "wrong"}).status_code == 401
            assert client.get(path, headers={"cookie": "keisei-token=wrong"}).status_code == 401
        answer = client.get("/", params={"token": TOKEN}, follow_redirects=False)
        assert answer.status_code == 303 and answer.headers["location"] == "/"
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie
        assert client.get("/api/runs").status_code == 200  # the browser has the cookie now


def test_only_this_machine_asks_without_a_token() -> None:
    assert new_token("127.0.0.1") is None and new_token("localhost") is None and new_token("::1") is None
    for host in ("0.0.0.0", "::", "192.168.1.5", "some.machine"):
        token = new_token(host)
        assert token is not None and len(token) >= 32 and token != new_token(host)
    assert not is_local("10.0.0.1")


def test_the_address_that_is_told_has_the_token() -> None:
    with listen("127.0.0.1", 0) as found:
        port = found.getsockname()[1]
        assert address_of(found, None) == f"http://127.0.0.1:{port}/"
        assert address_of(found, TOKEN) == f"http://127.0.0.1:{port}/?token={TOKEN}"
        with pytest.raises(AddressError, match=r"web\.port"):
            listen("127.0.0.1", port)
    with pytest.raises(AddressError, match=r"web\.host 203\.0\.113\.1"):
        listen("203.0.113.1", 0)


def test_bodies_are_bounded(root: Path) -> None:
    with asking(root, limits=Limits(body=1000)) as client:
        assert client.post("/api/records", content=b"x" * 1001).status_code == 413
        assert client.post("/api/records", content=iter([b"x" * 600] * 2)).status_code == 413
        assert client.post("/api/records", content=b"startpos moves 7g7f").status_code == 200
        assert (
            client.post(
                "/api/analysis", content=b"{", headers={"content-type": "application/json"}
            ).status_code
            == 400
        )


def test_requests_at_a_time_are_bounded(root: Path) -> None:
    async def ask(guard: Guard) -> int:
        status: list[int] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b""}

        async def send(message: Message) -> None:
            status.extend([message["status"]] if message["type"] == "http.response.start" else [])

        scope = {"type": "http", "method": "GET", "path": "/", "scheme": "http", "query_string": b""}
        await guard({**scope, "headers": [(b"host", b"localhost")]}, receive, send)
        return status[0]

    async def run() -> None:
        release = anyio.Event()

        async def slow(scope, receive, send):  # type: ignore[no-untyped-def]
            await release.wait()
            await PlainTextResponse("")(scope, receive, send)

        guard = Guard(slow, None, Limits(requests=3))
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask, guard)
            await anyio.wait_all_tasks_blocked()
            assert guard.open == 3
            assert await ask(guard) == 503
            release.set()
        assert guard.open == 0
        assert await ask(guard) == 200

    anyio.run(run)


def test_streams_are_bounded_and_end_with_the_server(root: Path) -> None:
    async def run() -> None:
        server = Server(root)
        stream = server._stream("one")
        assert (await anext(stream)).startswith("data: {")
        assert server.streams == 1
        server.closing = True
        assert [part async for part in stream] == []
        assert server.streams == 0

    anyio.run(run)
    server = Server(root)
    server.streams = 10**6
    from starlette.testclient import TestClient

    with TestClient(build_app(server), base_url=ORIGIN) as client:
        assert client.get("/api/events").status_code == 503
