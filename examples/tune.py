"""Search for good settings with Optuna: `python examples/tune.py [TRIALS [SECONDS [GAMES]]]` (20, 120, 200).

A trial is a short run; its score in GAMES against random moves is to be as high as possible. Ctrl-C ends it.
"""

import sys
import time
from pathlib import Path

try:
    import optuna
except ImportError:
    sys.exit("examples/tune.py needs Optuna: pip install optuna")

from keisei_agent import train
from keisei_agent.config import load_config

TRIALS, SECONDS, GAMES = [*map(int, sys.argv[1:]), *(20, 120, 200)[len(sys.argv) - 1 :]]
FOLDER = Path("runs", time.strftime("tune-%Y%m%d-%H%M%S"))


def score(trial: optuna.Trial) -> float:
    """Return the share of points against random after a short run."""
    settings = {
        "ppo.learning_rate": trial.suggest_float("ppo.learning_rate", 1e-4, 1e-2, log=True),
        "ppo.ent_coef": trial.suggest_float("ppo.ent_coef", 1e-3, 1e-1, log=True),
        "network.channels": trial.suggest_categorical("network.channels", [16, 32, 48]),
    }
    settings |= {"max_time": float(SECONDS), "eval_games": GAMES}
    config = load_config(preset="tiny", settings=settings)
    run = train(config, FOLDER / f"{trial.number:03d}")
    if run.interrupted or run.after is None:
        trial.study.stop()
        raise optuna.TrialPruned
    return (run.after.wins + run.after.draws / 2) / run.after.games


study = optuna.create_study(direction="maximize")
study.optimize(score, n_trials=TRIALS)
print(f"Best of {len(study.trials)}: {study.best_value:.1%} with {study.best_params}")
