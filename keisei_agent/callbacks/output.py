"""Values that belong to another step than the learner's."""

from collections.abc import Mapping

from stable_baselines3.common.logger import KVWriter, Logger


def write_at(logger: Logger, values: Mapping[str, float | str], steps: int) -> None:
    """Hand values to every output of a logger at once, at a step of their own.

    What is given to `Logger.record` instead is written at the next boundary, at the learner's step.

    Args:
        logger: of the model.
        values: numbers or texts by their keys.
        steps: decisions.
    """
    for output in logger.output_formats:
        if isinstance(output, KVWriter):
            output.write(dict(values), dict.fromkeys(values, ()), steps)
