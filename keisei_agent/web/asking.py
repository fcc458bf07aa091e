"""What a request brings, checked, and how it is answered beside the event loop."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from shogi_env import kifu

_DOWNLOADS = ("csa", "kif", "usi")
_T = TypeVar("_T")


async def in_thread(function: Callable[..., _T], *arguments: Any) -> _T:
    """Call a function that takes a while in a thread, so that others are answered meanwhile."""
    return await anyio.to_thread.run_sync(partial(function, *arguments))


async def body_of(request: Request) -> dict[str, Any]:
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


def text_in(body: dict[str, Any], name: str) -> str:
    """A text that must be there."""
    value = body.get(name)
    if not isinstance(value, str):
        raise HTTPException(400, f"{name} is a text")
    return value


def moves_in(body: dict[str, Any]) -> list[str]:
    """The moves, none if there is no word of them."""
    moves = body.get("moves", [])
    if not isinstance(moves, list) or not all(isinstance(move, str) for move in moves):
        raise HTTPException(400, "moves are texts")
    return moves


def ply_in(body: dict[str, Any]) -> int:
    """The number of the ply that is asked about."""
    ply = body.get("ply")
    if type(ply) is not int:
        raise HTTPException(400, "ply is a whole number")
    return ply


def number_in(request: Request, name: str, default: int, least: int, most: int) -> int:
    """A number of the query, `least..most`."""
    text = request.query_params.get(name, str(default))
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise HTTPException(400, f"{name} is {least}..{most}")
    return int(text)


def download(game: kifu.Kifu, format: str) -> Response:
    """A game as a file."""
    if format not in _DOWNLOADS:
        raise HTTPException(404, f"written as {', '.join(_DOWNLOADS)}")
    headers = {"content-disposition": f'attachment; filename="game.{format}"'}
    return Response(kifu.dumps(game, format), media_type="text/plain", headers=headers)
