"""The server behind the page."""

import json
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

import shogi_env
from keisei_agent.config import to_yaml
from keisei_agent.web.analysis import JudgementError, analyse, set_up, values_of
from keisei_agent.web.games import matching, replay, replay_record
from keisei_agent.web.guard import Guard, Limits
from keisei_agent.web.play import REFUSALS, Table, Tables, UnknownGameError
from keisei_agent.web.players import Players, read_choice
from keisei_agent.web.runs import Reader, Runs, UnknownRunError
from keisei_agent.web.strength import strength
from keisei_agent.web.watch import Watch
from shogi_env import Color, RecordError, kifu
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
_WAITING = 16
"""Questions to networks that may wait for one another."""
_POINTS = 600
_PAGE = 50
_UPLOADED = 20
"""Games of an uploaded record that are shown."""
_DOWNLOADS = {"csa": "text/plain", "kif": "text/plain", "usi": "text/plain"}
_T = TypeVar("_T")


class Server:
    """Answers the page's questions.

    Args:
        root: folder of the runs.
    """

    def __init__(self, root: Path) -> None:
        self.runs = Runs(root)
        self.watch = Watch(self.runs)
        self.players = Players(self.runs)
        self.tables = Tables(self.players)
        self.streams = 0
        """Pages that are being told of changes."""
        self.closing = False
        """Whether streams are to end."""
        self._thinking = anyio.CapacityLimiter(1)
        self._waiting = 0

    async def about(self, request: Request) -> Response:
        """Which runs this page shows."""
        return JSONResponse({"version": shogi_env.__version__, "runs": str(self.runs.root)})

    async def drawing(self, request: Request) -> Response:
        """What the board is drawn with, and the handicaps."""
        return JSONResponse({**drawing(), "handicaps": HANDICAP_NAMES})

    async def list_runs(self, request: Request) -> Response:
        """All runs."""
        return _raw((await _in_thread(self.watch.state, "")).text)

    async def run(self, request: Request) -> Response:
        """One run, with settings, log, evaluations and texts."""
        reader = self._reader(request)

        def find() -> dict[str, Any]:
            summary, config = reader.summary(), reader.config()
            return {
                "summary": summary,
                "config": None if config is None else to_yaml(config),
                "log": reader.log_tail(),
                "evaluations": reader.evaluations(),
                "alarms": reader.texts("alarms/text"),
                "keys": sorted(reader.curves.curves),
                "networks": list(reader.networks()),
            }

        return JSONResponse(await _in_thread(find))

    async def curves(self, request: Request) -> Response:
        """Curves of a run: `key`, as often as wanted, and `points`."""
        reader = self._reader(request)
        points = _number(request, "points", _POINTS, 4, 4096)
        keys = request.query_params.getlist("key")
        return JSONResponse(await _in_thread(reader.series, keys, points))

    async def games(self, request: Request) -> Response:
        """A page of a run's games, the newest first."""
        reader, query = self._reader(request), request.query_params
        offset = _number(request, "offset", 0, 0, 10**9)

        def find() -> dict[str, Any]:
            with reader.lock:
                reader.games.read()
                entries = list(reader.games.entries)
            wanted = (query.get(name, "") for name in ("player", "result", "reason"))
            found = list(matching(entries, *wanted))
            return {
                "total": len(entries),
                "found": len(found),
                "games": [entry._asdict() for entry in found[offset : offset + _PAGE]],
                "page": _PAGE,
                "players": sorted({name for entry in entries for name in (entry.black, entry.white)}),
                "reasons": sorted({entry.reason for entry in entries}),
                "problem": reader.games.bad,
            }

        return JSONResponse(await _in_thread(find))

    async def game(self, request: Request) -> Response:
        """One game of a run, move by move."""
        record = await self._record(request)
        return JSONResponse(await _in_thread(replay_record, record))

    async def game_record(self, request: Request) -> Response:
        """One game of a run as a file."""
        from shogi_env.arena.games import to_kifu

        record = await self._record(request)
        return await _in_thread(_download, to_kifu(record), request.path_params["format"], "game")

    async def strength(self, request: Request) -> Response:
        """Ratings of a run's games."""
        return JSONResponse(await _in_thread(strength, self._reader(request)))

    async def list_players(self, request: Request) -> Response:
        """Who can be played against."""
        return JSONResponse(await _in_thread(self.players.list))

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
                news = await _in_thread(self.watch.state, name)
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

    async def begin(self, request: Request) -> Response:
        """A new game: `black`, `white`, `start`."""
        body = await _body(request)
        start = body.get("start")
        if start is not None and not isinstance(start, str):
            raise HTTPException(400, "start is a text")
        black, white = (read_choice(body.get(side)) for side in ("black", "white"))
        table = await self._think(self.tables.begin, black, white, start)
        return JSONResponse(table.state())

    async def table(self, request: Request) -> Response:
        """A game as it stands."""
        return JSONResponse(self._table(request).state())

    async def act(self, request: Request) -> Response:
        """Something that happens in a game."""
        table, what, body = self._table(request), request.path_params["what"], await _body(request)
        if what == "move":
            await _in_thread(table.move, _text(body, "move"))
        elif what == "think":
            await self._think(table.think, int(body.get("ply", -1)))
        elif what == "take-back":
            await _in_thread(table.take_back)
        elif what == "resign":
            await _in_thread(table.resign, Color.BLACK if body.get("color") == "black" else Color.WHITE)
        elif what == "declare":
            await _in_thread(table.declare)
        elif what == "hint":
            hint = await self._think(table.hint, read_choice(body.get("player")))
            return JSONResponse({"hint": hint})
        else:
            raise HTTPException(404, "a game knows no such thing")
        return JSONResponse(table.state())

    async def table_record(self, request: Request) -> Response:
        """A game as a file."""
        table = self._table(request)
        return await _in_thread(_download, table.record(), request.path_params["format"], "game")

    async def analyse(self, request: Request) -> Response:
        """What a network thinks of a position: `start`, `moves`, `player` with its simulations."""
        body = await _body(request)
        choice = read_choice(body.get("player"))
        board = await _in_thread(_board, body)
        evaluate = await self._think(self.players.evaluate, choice)
        return JSONResponse(await self._think(analyse, board, evaluate, choice.simulations))

    async def values(self, request: Request) -> Response:
        """A network's values of all positions of a game: `start`, `moves`, `player`."""
        body = await _body(request)
        choice = read_choice(body.get("player"))
        text = f"sfen {_text(body, 'start')} moves {' '.join(_moves(body))}"
        (game,) = await _in_thread(kifu.loads, text, "usi")
        evaluate = await self._think(self.players.evaluate, choice)
        return JSONResponse({"values": await self._think(values_of, game, evaluate)})

    async def upload(self, request: Request) -> Response:
        """A record that somebody has: its games, move by move."""
        data = await request.body()

        def read() -> dict[str, Any]:
            games = kifu.loads(data)
            return {"total": len(games), "games": [replay(game) for game in games[:_UPLOADED]]}

        return JSONResponse(await _in_thread(read))

    async def index(self, request: Request) -> Response:
        """The page."""
        return FileResponse(STATIC / "index.html", media_type="text/html")

    def _reader(self, request: Request) -> Reader:
        return self.runs.reader(request.path_params["run"])

    def _table(self, request: Request) -> Table:
        return self.tables.find(request.path_params["table"])

    async def _record(self, request: Request) -> Any:
        reader = self._reader(request)

        def find() -> Any:
            with reader.lock:
                reader.games.read()
                return reader.games.record(request.path_params["number"])

        return await _in_thread(find)

    async def _think(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Ask a network, one question after the other."""
        if self._waiting >= _WAITING:
            raise HTTPException(503, "too many questions at a time", {"retry-after": "2"})
        self._waiting += 1
        try:
            return await anyio.to_thread.run_sync(partial(function, *arguments), limiter=self._thinking)
        finally:
            self._waiting -= 1


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

    routes = [
        get("/", server.index),
        get("/api/about", server.about),
        get("/api/drawing", server.drawing),
        get("/api/runs", server.list_runs),
        get("/api/runs/{run}", server.run),
        get("/api/runs/{run}/curves", server.curves),
        get("/api/runs/{run}/games", server.games),
        get("/api/runs/{run}/games/{number:int}", server.game),
        get("/api/runs/{run}/games/{number:int}.{format}", server.game_record),
        get("/api/runs/{run}/strength", server.strength),
        get("/api/players", server.list_players),
        get("/api/events", server.events),
        post("/api/tables", server.begin),
        get("/api/tables/{table}", server.table),
        get("/api/tables/{table}/record.{format}", server.table_record),
        post("/api/tables/{table}/{what}", server.act),
        post("/api/analysis", server.analyse),
        post("/api/values", server.values),
        post("/api/records", server.upload),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    app = Starlette(routes=routes, exception_handlers=_HANDLERS)
    return Guard(app, token, limits)


async def _in_thread(function: Callable[..., _T], *arguments: Any) -> _T:
    return await anyio.to_thread.run_sync(partial(function, *arguments))


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object that a request brings."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HTTPException(415, "send application/json")
    try:
        found = json.loads(await request.body())
    except ValueError as error:
        raise HTTPException(400, f"not JSON: {error}") from None
    if not isinstance(found, dict):
        raise HTTPException(400, "send an object")
    return found


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise HTTPException(400, f"{name} is a text")
    return value


def _moves(body: dict[str, Any]) -> list[str]:
    moves = body.get("moves", [])
    if not isinstance(moves, list) or not all(isinstance(move, str) for move in moves):
        raise HTTPException(400, "moves are texts")
    return moves


def _board(body: dict[str, Any]) -> Any:
    start = body.get("start")
    return set_up(None if start is None else _text(body, "start"), _moves(body))


def _number(request: Request, name: str, default: int, least: int, most: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise HTTPException(400, f"{name} is {least}..{most}")
    return int(text)


def _download(game: kifu.Kifu, format: str, name: str) -> Response:
    if format not in _DOWNLOADS:
        raise HTTPException(404, f"written as {', '.join(_DOWNLOADS)}")
    headers = {"content-disposition": f'attachment; filename="{name}.{format}"'}
    return Response(kifu.dumps(game, format), media_type=_DOWNLOADS[format], headers=headers)


def _raw(text: str) -> Response:
    return Response(text, media_type="application/json")


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
