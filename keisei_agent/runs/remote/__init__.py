"""Workers in other processes, on this machine or on others: `build_workers`."""

import logging
from importlib.util import find_spec

from keisei_agent.config import Config
from keisei_agent.learning.parts import part_seed
from keisei_agent.learning.update import TrainingError
from keisei_agent.learning.workers import NoWorkersError, Workers
from keisei_agent.runs.build import NO_RAY

logger = logging.getLogger(__name__)


def build_workers(config: Config, at: int) -> Workers | None:
    """Begin to start the workers of a run; None if there shall be none, or, said in the log, can be none.

    Args:
        config: of the run.
        at: decisions of the run so far.

    Raises:
        TrainingError: there can be none, and they are required.
    """
    workers, count = config.workers, config.workers.count
    if not count:
        return None
    try:
        if find_spec("ray") is None:
            raise NoWorkersError(NO_RAY)
        from keisei_agent.runs.remote.crew import RayCrew

        crew = RayCrew(config)
    except NoWorkersError as error:
        if workers.required:
            raise TrainingError(f"no worker can be started: {error}") from None
        logger.error("No worker can be started: %s; the learning process plays by itself", error)
        return None
    games = config.env.n_envs // count
    for part in range(count):
        logger.info(
            "Part %d: games %d to %d, seeded with %d at decision %s",
            *(part, part * games, (part + 1) * games - 1, part_seed(config.seed, part, at), f"{at:,}"),
        )
    return Workers(
        crew,
        count,
        seed=config.seed,
        required=workers.required,
        max_staleness=workers.max_staleness,
        patience=workers.patience,
    )
