"""A run's numbers as TensorBoard events."""

import io
import os
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.logger import TensorBoardOutputFormat
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.summary.writer.record_writer import RecordWriter

__all__ = ["EventWriter"]

_MOST_WAITING = 1000
"""Events that wait for a disk that takes them; of more, the newest."""


class EventWriter(TensorBoardOutputFormat):
    """Writes all numbers of a step as one event, and everything else as its parent does.

    The parent makes an event of each number, and so about 250 messages for a rollout.  Protobuf has malloc
    give all free memory back to the system after every 10,000 of them, which a run's memory showed as a saw.

    Args:
        folder: of the event files.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        assert self.writer.file_writer is not None
        self.writer.file_writer.event_writer = _Events(self.writer.file_writer.event_writer)

    def write(
        self, key_values: Mapping[str, Any], key_excluded: Mapping[str, tuple[str, ...]], step: int = 0
    ) -> None:
        """Write what was recorded at a step.

        Args:
            key_values: numbers, texts, pictures, by their keys.
            key_excluded: outputs that are not to have them, by the same keys.
            step: what they belong to.

        Raises:
            OSError: it cannot be written now; it waits for the next time.
        """
        summary, others = Summary(), {}
        for key, value in sorted(key_values.items()):
            if not isinstance(value, (int, float, np.number, np.bool_)):
                others[key] = value
            elif "tensorboard" not in (key_excluded[key] or ()):
                summary.value.add(tag=key, simple_value=float(value))
        if summary.value:
            assert self.writer.file_writer is not None  # until it is closed
            self.writer.file_writer.add_summary(summary, step)
        super().write(others, {key: key_excluded[key] for key in others}, step)


class _Events:
    """Goes on with a file of TensorBoard's own writer, whose thread ends for good at its first error.

    What the disk does not take waits for the next time.  A file that was taken away is followed by one of
    another name: a checkpoint may have noted how long it was.
    """

    def __init__(self, made: EventFileWriter) -> None:
        self._waiting: deque[bytes] = deque(maxlen=_MOST_WAITING)
        self._folder = str(made.get_logdir())
        self._take(made)

    def _take(self, made: EventFileWriter) -> None:
        made.close()
        self._path = Path(made._file_name)
        self._length = self._path.stat().st_size

    def get_logdir(self) -> str:
        return self._folder

    def add_event(self, event: Any) -> None:
        record = io.BytesIO()
        RecordWriter(record).write(event.SerializeToString())
        self._waiting.append(record.getvalue())

    def flush(self) -> None:
        if not self._waiting:
            return
        if not self._path.exists():
            self._take(EventFileWriter(self._folder))
        data = b"".join(self._waiting)
        try:
            with self._path.open("rb+") as file:
                file.seek(self._length)
                file.write(data)
        except OSError:
            with suppress(OSError):  # half a record hides those behind it
                os.truncate(self._path, self._length)
            raise
        self._length += len(data)
        self._waiting.clear()

    def close(self) -> None:
        self.flush()
