"""A training program that kills itself at a chosen moment; started again, it resumes.

    python dying.py FOLDER SETTINGS.json MOMENT

Moments are counted from 1: each step of the environment, of the optimizer, and each system call that puts
a file on the disk or renames one has one before and one after it.  Moment 0 never comes.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch as th

from keisei_agent.config import parse_config
from keisei_agent.runs.training import resume, train
from shogi_env.adapters.sb3 import NativeVecEnv


class Moments:
    """Counts moments and dies at one of them.

    Args:
        last: the number of the last one.
    """

    def __init__(self, last: int) -> None:
        self.count = 0
        self.last = last

    def tick(self) -> None:
        self.count += 1
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, name: str) -> None:
        """Count one before and one after each call of a function."""
        function: Callable[..., Any] = getattr(owner, name)

        def call(*arguments: Any, **named: Any) -> Any:
            self.tick()
            result = function(*arguments, **named)
            self.tick()
            return result

        setattr(owner, name, call)


def main() -> None:
    folder, settings, last = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    th.set_num_threads(1)
    moments = Moments(last)
    for owner, name in (
        (NativeVecEnv, "step_wait"),
        (th.optim.AdamW, "step"),
        (os, "fsync"),
        (os, "replace"),
    ):
        moments.around(owner, name)
    if (folder / "config.yaml").exists():
        resume(folder)
    else:
        train(parse_config(json.loads(settings.read_text("utf-8"))), folder)
    print(moments.count)


if __name__ == "__main__":
    main()
