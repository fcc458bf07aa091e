"""A run's numbers as TensorBoard events."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from stable_baselines3.common.logger import TensorBoardOutputFormat
from tensorboard.compat.proto.summary_pb2 import Summary

__all__ = ["EventWriter"]


class EventWriter(TensorBoardOutputFormat):
    """Writes all numbers of a step as one event, and everything else as its parent does.

    The parent makes an event of each number, and so about 250 messages for a rollout.  Protobuf has malloc
    give all free memory back to the system after every 10,000 of them, which a run's memory showed as a saw.
    """

    def write(
        self, key_values: Mapping[str, Any], key_excluded: Mapping[str, tuple[str, ...]], step: int = 0
    ) -> None:
        """Write what was recorded at a step.

        Args:
            key_values: numbers, texts, pictures, by their keys.
            key_excluded: outputs that are not to have them, by the same keys.
            step: what they belong to.
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
