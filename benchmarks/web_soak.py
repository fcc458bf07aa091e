"""Whether the page or its server grows in eight hours.

    python benchmarks/web_soak.py [--messages 57600] [--clients 20]

A run writes its live game for eight hours, twice a second, in fast forward: every message is written once
everybody has seen the one before.  One of those who look on is a page in a headless Chromium.  Memory of the
server, heap and nodes of the page are compared at equal phases of a game, after a tenth of the messages and
at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from common import load, machine, save, show
from web import Client, page, served

NAME = "soak"
PHASE = 800
"""Messages after which the games that are written come again."""
REST = 3.0
"""Seconds without a message before a page is counted: what it drops is collected only when it rests."""
BARS = {"server": 0.05, "heap": 0.20, "nodes": 0.0}
"""Growth that is allowed."""


def resident(pid: int) -> float:
    """Bytes of a process that are in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def frames() -> list[dict[str, Any]]:
    """`PHASE` live games: random ones that grow by a ply with each message."""
    import numpy as np

    from shogi_env import Board

    random = np.random.default_rng(0)
    found: list[dict[str, Any]] = []
    ended: list[dict[str, Any]] = []
    while len(found) < PHASE:
        board = Board(max_plies=None)
        start = board.sfen()
        for _ in range(200):
            moves = list(board.legal_moves)
            best = [[str(move), 0.2] for move in moves[:5]]
            policy = {
                "ply": board.ply,
                "value": 0.1,
                "best": best,
                "heat": random.dirichlet([0.1] * 81).tolist(),
            }
            game = {
                "start": start,
                "moves": [str(move) for move in board.moves],
                "values": [[ply, round(float(random.uniform(-1, 1)), 6)] for ply in range(board.ply)],
            }
            found.append({"game": game, "policy": policy, "ended": list(ended[-12:])})
            if board.outcome() or not moves:
                break
            board.push(moves[int(random.integers(len(moves)))])
        ended.append({"result": "draw", "reason": "max_plies", "plies": board.ply, "steps": len(found)})
    return found[:PHASE]


def soak(messages: int, clients: int) -> dict[str, Any]:
    """Send so many messages to so many clients; the page is one of them."""
    from torch.utils.tensorboard import SummaryWriter

    from keisei_agent.config import parse_config, to_yaml
    from keisei_agent.files.storage import write_for_readers
    from shogi_env.arena.lock import hold

    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = root / NAME
        folder.mkdir()
        (folder / "config.yaml").write_text(to_yaml(parse_config({"total_timesteps": messages})))
        stack.enter_context(hold(folder / "lock", "busy"))
        writer = stack.enter_context(SummaryWriter(str(folder / "tensorboard")))
        games = frames()

        def write(number: int) -> float:
            stamp = float(number + 1)
            if number % 10 == 0:  # eight hours of rollouts of five seconds
                for key in range(60):
                    writer.add_scalar(f"train/key_{key}", float((number * (key + 1)) % 97), number)
                writer.flush()
                with (folder / "log.txt").open("a") as log:
                    log.write(f"message {number}\n")
            frame = {
                "format": 1,
                "pid": 1,
                "time": stamp,
                "doing": "playing",
                "steps": number,
                "seconds": stamp,
            }
            frame |= {"done": number / messages, "speed": 2.0, "left": 1.0, **games[number % PHASE]}
            write_for_readers(folder / "live.json", json.dumps(frame).encode())
            return stamp

        write(0)
        port, pid = stack.enter_context(served(root, None, fast=True))
        look = stack.enter_context(page(f"http://127.0.0.1:{port}/#/live/{NAME}", None))
        others = [Client(port, NAME) for _ in range(clients - 1)]
        for client in others:
            client.start()
        early = max(1, messages // 10 // PHASE) * PHASE
        late = (messages - 1) // PHASE * PHASE
        points: dict[int, dict[str, float]] = {}
        start = time.monotonic()
        for number in range(1, messages):
            stamp = write(number)
            until = time.monotonic() + 60
            while any(client.seen < stamp for client in others):
                if time.monotonic() > until:
                    raise RuntimeError(f"message {number} was not seen by everybody within a minute")
                time.sleep(0.0005)
            if number in (early, late):
                while look()["steps"] != number:
                    time.sleep(0.2)
                time.sleep(REST)
                points[number] = {**look(), "server": resident(pid)}
                show(f"  message {number}: {points[number]}")
    first, last = points[early], points[late]
    growth = {name: last[name] / first[name] - 1 for name in BARS}
    return {
        "messages": messages,
        "clients": clients,
        "told": [client.messages for client in others],
        "points": points,
        "growth": growth,
        "held": {name: growth[name] <= bar for name, bar in BARS.items()},
        "seconds": time.monotonic() - start,
    }


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=8 * 3600 * 2)
    parser.add_argument("--clients", type=int, default=20, help="the page among them")
    args = parser.parse_args()
    found: dict[str, Any] = {"machine": machine(), "load_before": load()}
    row = soak(args.messages, args.clients)
    shares = ", ".join(f"{name} {share:+.1%}" for name, share in row["growth"].items())
    show(f"{row['messages']} messages to {row['clients']}: {shares} ({row['seconds']:.0f} s)")
    save("web-soak", found | row)


if __name__ == "__main__":
    main()
