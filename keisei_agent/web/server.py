"""The server behind the page."""

import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

import shogi_env
from keisei_agent.web.analysis import JudgementError
from keisei_agent.web.asking import in_thread
from keisei_agent.web.guard import Guard, Limits
from keisei_agent.web.play import REFUSALS, UnknownGameError
from keisei_agent.web.play_answers import PlayAnswers
from keisei_agent.web.players import Players
from keisei_agent.web.run_answers import RunAnswers
from keisei_agent.web.runs import Runs, UnknownRunError
from keisei_agent.web.watch import Watch
from shogi_env import RecordError
from shogi_env.drawing import drawing
from shogi_env.kifu.japanese import HANDICAP_NAMES

logger = logging.getLogger(__name__)

STATIC = Path(__file__).with_name("static")
STREAMS = 48
"""Pages that are told of changes at a time."""
LOOK = 0.5
"""Seconds between two looks at a run that a page is told of."""
_BEAT = 1.0
"""Seconds after which a page hears something even if nothing has changed."""


class Server:
    """Answers the page's questions.

    Args:
        root: folder of the runs.
    """

    def __init__(self, root: Path) -> None:
        runs = Runs(root)
        self.root = runs.root
        self.watch = Watch(runs)
        self.of_runs = RunAnswers(runs)
        self.of_players = PlayAnswers(Players(runs))
        self.streams = 0
        """Pages that are being told of changes."""
        self.closing = False
        """Whether streams are to end."""

    async def about(self, request: Request) -> Response:
        """Which runs this page shows."""
        return JSONResponse({"version": shogi_env.__version__, "runs": str(self.root)})

    async def drawing(self, request: Request) -> Response:
        """What the board is drawn with, and the handicaps."""
        return JSONResponse({**drawing(), "handicaps": HANDICAP_NAMES})

    async def list_runs(self, request: Request) -> Response:
        """All runs."""
        state = await in_thread(self.watch.state, "")
        return Response(state.text, media_type="application/json")

    async def events(self, request: Request) -> Response:
        """A stream of changes: of `run`, or of all runs."""
        if self.streams >= STREAMS:
            raise HTTPException(503, "too many pages look on", {"retry-after": "5"})
        name = request.query_params.get("run", "")
        return StreamingResponse(
            self._stream(name), media_type="text/event-stream", headers={"cache-control": "no-store"}
        )

    async def _stream(self, name: str) -> AsyncIterator[str]:
        """The newest state whenever there is one; a page that is slow misses those in between."""
        self.streams += 1
        try:
            seen, told = 0, 0.0
            while not self.closing:
                news = await in_thread(self.watch.state, name)
                now = anyio.current_time()
                if news.number != seen:
                    seen, told = news.number, now
                    yield f"data: {news.text}\n\n"
                elif now - told >= _BEAT:
                    told = now
                    yield "event: beat\ndata: \n\n"
                await anyio.sleep(LOOK)
        finally:
            self.streams -= 1

    async def index(self, request: Request) -> Response:
        """The page."""
        return FileResponse(STATIC / "index.html", media_type="text/html")


def build_app(server: Server, *, token: str | None = None, limits: Limits | None = None) -> Guard:
    """The application: the page, its questions and the guard before them.

    Args:
        server: answers.
        token: that everybody has to know; None for a page that only this machine can ask.
        limits: of requests.
    """

    def get(path: str, answer: Callable[..., Any]) -> Route:
        return Route(path, answer, methods=["GET"])

    def post(path: str, answer: Callable[..., Any]) -> Route:
        return Route(path, answer, methods=["POST"])

    runs, players = server.of_runs, server.of_players
    routes = [
        get("/", server.index),
        get("/api/about", server.about),
        get("/api/drawing", server.drawing),
        get("/api/runs", server.list_runs),
        get("/api/runs/{run}", runs.run),
        get("/api/runs/{run}/curves", runs.curves),
        get("/api/runs/{run}/games", runs.games),
        get("/api/runs/{run}/games/{number:int}", runs.game),
        get("/api/runs/{run}/games/{number:int}.{format}", runs.game_record),
        get("/api/runs/{run}/strength", runs.strength),
        get("/api/players", players.list_players),
        get("/api/events", server.events),
        post("/api/tables", players.begin),
        get("/api/tables/{table}", players.table),
        get("/api/tables/{table}/record.{format}", players.table_record),
        post("/api/tables/{table}/{what}", players.act),
        post("/api/analysis", players.analyse),
        post("/api/values", players.values),
        post("/api/records", players.upload),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    app = Starlette(routes=routes, exception_handlers=_HANDLERS)
    return Guard(app, token, limits)


def _refusal(status: int) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error).strip("'")}, status)

    return answer


def _http_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


def _failure(request: Request, error: Exception) -> Response:
    logger.exception("%s %s failed", request.method, request.url.path, exc_info=error)
    return JSONResponse({"error": "the server failed; its log says why"}, 500)


_HANDLERS: Any = {
    HTTPException: _http_refusal,
    UnknownRunError: _refusal(404),
    UnknownGameError: _refusal(404),
    IndexError: _refusal(404),
    **dict.fromkeys((*REFUSALS, RecordError, JudgementError), _refusal(400)),
    Exception: _failure,
}
