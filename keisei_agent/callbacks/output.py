"""The outputs of a run's numbers, none of which can end the others or the run."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from stable_baselines3.common.logger import DISABLED, KVWriter, Logger, TensorBoardOutputFormat

logger = logging.getLogger(__name__)


class Outputs(Logger):
    """A logger of which each output gets everything, whatever the others raise; that is logged once a kind.

    Args:
        outputs: of it; more may be added.
    """

    def __init__(self, outputs: list[KVWriter]) -> None:
        super().__init__(None, outputs)
        self._told: set[tuple[type, str, type, int | None]] = set()

    def dump(self, step: int = 0) -> None:
        """Write what was recorded."""
        if self.level == DISABLED:
            return
        self.write(self.name_to_value, self.name_to_excluded, step)
        self.name_to_value.clear()
        self.name_to_count.clear()
        self.name_to_excluded.clear()

    def write(self, values: Mapping[str, Any], excluded: Mapping[str, tuple[str, ...]], step: int) -> None:
        """Write values that were not recorded; see `Logger.dump`."""
        self._each("write", lambda output: output.write(dict(values), dict(excluded), step))

    def flush(self) -> None:
        """Put the curves into their files, so that these can be measured."""
        self._each("flush", _flush)

    def close(self) -> None:
        """Close the outputs."""
        self._each("close", lambda output: output.close())

    def _each(self, name: str, act: Callable[[KVWriter], None]) -> None:
        for output in self.output_formats:
            try:
                if isinstance(output, KVWriter):
                    act(output)
            except Exception as error:
                kind = type(output), name, type(error), getattr(error, "errno", None)
                if kind not in self._told:
                    self._told.add(kind)
                    goes_on = "the others go on, further failures of this kind are not reported"
                    logger.exception("%s.%s failed; %s", type(output).__name__, name, goes_on)


def _flush(output: KVWriter) -> None:
    if isinstance(output, TensorBoardOutputFormat):
        output.writer.flush()


def write_at(logger: Logger, values: Mapping[str, float | str], steps: int) -> None:
    """Hand values to every output of a logger at once, at a step of their own.

    What is given to `Logger.record` instead is written at the next boundary, at the learner's step.

    Args:
        logger: of the model.
        values: numbers or texts by their keys.
        steps: decisions.
    """
    outputs = logger if isinstance(logger, Outputs) else Outputs(logger.output_formats)
    outputs.write(values, dict.fromkeys(values, ()), steps)
