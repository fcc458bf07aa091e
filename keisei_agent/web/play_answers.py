"""Questions to players: games, positions and records."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from keisei_agent.web.analysis import analyse, set_up, values_of
from keisei_agent.web.asking import body_of, download, in_thread, moves_in, ply_in, text_in
from keisei_agent.web.games import replay
from keisei_agent.web.play import Table, Tables
from keisei_agent.web.players import Players, read_choice
from shogi_env import Color, kifu

_WAITING = 16
"""Questions to networks that may wait for one another."""
_UPLOADED = 20
"""Games of an uploaded record that are shown."""
_T = TypeVar("_T")


class PlayAnswers:
    """Answers what is asked of players.

    Args:
        players: that there are.
    """

    def __init__(self, players: Players) -> None:
        self.players = players
        self.tables = Tables(players)
        self._thinking = anyio.CapacityLimiter(1)
        self._waiting = 0

    async def list_players(self, request: Request) -> Response:
        """Who can be played against."""
        return JSONResponse(await in_thread(self.players.list))

    async def begin(self, request: Request) -> Response:
        """A new game: `black`, `white`, `start`."""
        body = await body_of(request)
        start = _start_of(body)
        black, white = (read_choice(body.get(side)) for side in ("black", "white"))
        table = await self._think(self.tables.begin, black, white, start)
        return JSONResponse(table.state())

    async def table(self, request: Request) -> Response:
        """A game as it stands."""
        return JSONResponse(self._table(request).state())

    async def act(self, request: Request) -> Response:
        """Something that happens in a game."""
        table, what, body = self._table(request), request.path_params["what"], await body_of(request)
        if what == "move":
            await in_thread(table.move, text_in(body, "move"))
        elif what == "think":
            await self._think(table.think, ply_in(body))
        elif what == "take-back":
            await in_thread(table.take_back)
        elif what == "resign":
            await in_thread(table.resign, Color.BLACK if body.get("color") == "black" else Color.WHITE)
        elif what == "declare":
            await in_thread(table.declare)
        elif what == "hint":
            hint = await self._think(table.hint, read_choice(body.get("player")))
            return JSONResponse({"hint": hint})
        else:
            raise HTTPException(404, "a game knows no such thing")
        return JSONResponse(table.state())

    async def table_record(self, request: Request) -> Response:
        """A game as a file."""
        table = self._table(request)
        return await in_thread(download, table.record(), request.path_params["format"])

    async def analyse(self, request: Request) -> Response:
        """What a network thinks of a position: `start`, `moves`, `player` with its simulations."""
        body = await body_of(request)
        choice = read_choice(body.get("player"))
        board = await in_thread(set_up, _start_of(body), moves_in(body))
        evaluate = await self._think(self.players.evaluate, choice)
        return JSONResponse(await self._think(analyse, board, evaluate, choice.simulations))

    async def values(self, request: Request) -> Response:
        """A network's values of all positions of a game: `start`, `moves`, `player`."""
        body = await body_of(request)
        choice = read_choice(body.get("player"))
        text = f"sfen {text_in(body, 'start')} moves {' '.join(moves_in(body))}"
        (game,) = await in_thread(kifu.loads, text, "usi")
        evaluate = await self._think(self.players.evaluate, choice)
        return JSONResponse({"values": await self._think(values_of, game, evaluate)})

    async def upload(self, request: Request) -> Response:
        """A record that somebody has: its games, move by move."""
        data = await request.body()

        def read() -> dict[str, Any]:
            games = kifu.loads(data)
            return {"total": len(games), "games": [replay(game) for game in games[:_UPLOADED]]}

        return JSONResponse(await in_thread(read))

    def _table(self, request: Request) -> Table:
        return self.tables.find(request.path_params["table"])

    async def _think(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Ask a network, one question after the other."""
        if self._waiting >= _WAITING:
            raise HTTPException(503, "too many questions at a time", {"retry-after": "2"})
        self._waiting += 1
        try:
            return await anyio.to_thread.run_sync(partial(function, *arguments), limiter=self._thinking)
        finally:
            self._waiting -= 1


def _start_of(body: dict[str, Any]) -> str | None:
    """Where a game starts; None for the initial position."""
    return None if body.get("start") is None else text_in(body, "start")
