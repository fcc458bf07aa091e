"""Run folders as training leaves them, and the page's server over them, for tests."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.testclient import TestClient

from keisei_agent.config import Config, with_changes
from keisei_agent.runs.training import train
from keisei_agent.web.guard import Limits
from keisei_agent.web.server import Server, build_app

ORIGIN = "http://localhost"


def make_run(root: Path, name: str, small: Config, **changes: object) -> Path:
    """A real run of seconds, evaluations and the live file included."""
    config = with_changes(
        small,
        {
            "web.enabled": True,
            "evaluation.every": 32,
            "evaluation.games": 4,
            "evaluation.opponents": ["random", "greedy"],
            "evaluation.blocking": True,
            "eval_games": 2,
            **changes,
        },
    )
    return train(config, root / name).folder


@contextmanager
def asking(root: Path, *, token: str | None = None, limits: Limits | None = None) -> Iterator[TestClient]:
    """Ask a server as a browser on this machine does."""
    with TestClient(build_app(Server(root), token=token, limits=limits), base_url=ORIGIN) as client:
        client.headers["origin"] = ORIGIN
        yield client


def first_news(client: TestClient, run: str = "") -> dict[str, object]:
    """What a page hears first; the stream is ended by the server's closing."""
    server: Server = client.app.app.router.routes[0].endpoint.__self__  # type: ignore[attr-defined]
    return dict(json.loads(server.watch.state(run).text))
