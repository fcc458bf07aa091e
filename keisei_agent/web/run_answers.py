"""Questions about runs: what their folders hold."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from keisei_agent.config import to_yaml
from keisei_agent.web.asking import download, in_thread, number_in
from keisei_agent.web.games import matching, replay_record
from keisei_agent.web.runs import Reader, Runs
from keisei_agent.web.strength import strength
from shogi_env.arena.games import to_kifu
from shogi_env.arena.records import GameRecord

_POINTS = 600
_PAGE = 50


class RunAnswers:
    """Answers what is asked about runs.

    Args:
        runs: that are shown.
    """

    def __init__(self, runs: Runs) -> None:
        self.runs = runs

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

        return JSONResponse(await in_thread(find))

    async def curves(self, request: Request) -> Response:
        """Curves of a run: `key`, as often as wanted, and `points`."""
        reader = self._reader(request)
        points = number_in(request, "points", _POINTS, 4, 4096)
        keys = request.query_params.getlist("key")
        return JSONResponse(await in_thread(reader.series, keys, points))

    async def games(self, request: Request) -> Response:
        """A page of a run's games, the newest first."""
        reader, query = self._reader(request), request.query_params
        offset = number_in(request, "offset", 0, 0, 10**9)

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

        return JSONResponse(await in_thread(find))

    async def game(self, request: Request) -> Response:
        """One game of a run, move by move."""
        record = await self._record(request)
        return JSONResponse(await in_thread(replay_record, record))

    async def game_record(self, request: Request) -> Response:
        """One game of a run as a file."""
        record = await self._record(request)
        return await in_thread(download, to_kifu(record), request.path_params["format"])

    async def strength(self, request: Request) -> Response:
        """Ratings of a run's games."""
        return JSONResponse(await in_thread(strength, self._reader(request)))

    def _reader(self, request: Request) -> Reader:
        return self.runs.reader(request.path_params["run"])

    async def _record(self, request: Request) -> GameRecord:
        reader = self._reader(request)

        def find() -> GameRecord:
            with reader.lock:
                reader.games.read()
                return reader.games.record(request.path_params["number"])

        return await in_thread(find)
