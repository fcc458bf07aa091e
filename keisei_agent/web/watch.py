"""What changes in the runs, found out once for however many pages look on."""

import json
import threading
import time
from collections import OrderedDict
from typing import Any, NamedTuple

from keisei_agent.web.runs import Reader, Runs, UnknownRunError

PAUSE = 0.4
"""Seconds for which an answer is good enough for the next one who asks."""
_KEPT = 64


class News(NamedTuple):
    """The state of a run, or of all."""

    number: int
    """Rises with every change: a page that has seen it has seen everything before it."""
    text: str
    """JSON."""


class Watch:
    """Looks at runs for pages.

    Args:
        runs: what is looked at.
    """

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self._lock = threading.Lock()
        self._news: OrderedDict[str, tuple[float, str, News]] = OrderedDict()
        self._number = 0

    def state(self, name: str) -> News:
        """What there is to say of a run, or of all runs for an empty name."""
        with self._lock:
            now = time.monotonic()
            known = self._news.get(name)
            if known and now - known[0] < PAUSE:
                return known[2]
            seal, content = self._look(name, known[1] if known else "")
            if content is None:
                assert known is not None
                news = known[2]
            else:
                self._number += 1
                news = News(self._number, json.dumps({"number": self._number, **content}))
            self._news[name] = (time.monotonic(), seal, news)
            self._news.move_to_end(name)
            while len(self._news) > _KEPT:
                self._news.popitem(last=False)
            return news

    def _look(self, name: str, seal: str) -> tuple[str, dict[str, Any] | None]:
        """What identifies the present state, and the state itself unless it is the one with this seal."""
        if not name:
            readers = [self.runs.reader(each) for each in self.runs.folders()]
            found = json.dumps([[each.name, each.versions(), self._beat(each)] for each in readers])
            if found == seal:
                return seal, None
            return found, {"runs": [each.summary() for each in readers]}
        try:
            reader = self.runs.reader(name)
        except UnknownRunError:
            return "gone", None if seal == "gone" else {"gone": name}
        versions, live = reader.versions(), reader.live()
        found = json.dumps([versions, live and live.get("time")])
        if found == seal:
            return seal, None
        summary = reader.summary()
        # a long history is read piece by piece: the next look goes on
        return found if summary["complete"] else "", {"versions": versions, "summary": summary, "live": live}

    @staticmethod
    def _beat(reader: Reader) -> int | None:
        """The second in which a run wrote its live file last: a list need not be newer than that."""
        path = reader.folder.live
        return int(path.stat().st_mtime) if path.exists() else None
