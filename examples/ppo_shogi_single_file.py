"""PPO learns shogi by playing both sides: one file to read and to change, with torch and gymnasium only.

    pip install keisei torch
    python examples/ppo_shogi_single_file.py --seconds 600

Laid out as CleanRL's `ppo.py` (https://docs.cleanrl.dev/rl-algorithms/ppo), with three differences that the
game asks for: illegal actions are masked, the next position belongs to the *opponent*, so that its value
counts negatively (`advantages_of`), and the policy head is a convolution whose 27 planes are the 27 ways to
arrive at a cell (`Agent`).  Everything that is printed is explained in `METRICS`.
"""

import argparse
import time

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

PLANES, MOVE_PLANES, CELLS = 136, 27, 81

METRICS = {
    "plies": "moves played so far, those of both sides; each is one sample to learn from",
    "seconds": "time since learning began",
    "plies_per_second": "of playing and learning together, from the beginning on",
    "game_plies": "mean length of the games that ended in this rollout; random moves need about 120",
    "decided": "share of those games that somebody won; the rest are draws",
    "mates": "share of those games that ended because the side to move had no legal move",
    "policy_loss": "PPO's clipped surrogate, mean of the minibatches; its size and sign tell little",
    "value_loss": "mean squared error of the values before their game's return; 1 if it knows nothing and "
    "every game is decided",
    "entropy": "mean entropy of the policy over legal moves in nats: 3 to 4 where it moves at random",
    "approx_kl": "mean of (ratio - 1) - log ratio: how far the policy moved from the one that played; more "
    "than about 0.05 at every update is too much",
    "clipfrac": "share of samples whose probability ratio left 1 - clip..1 + clip",
    "explained_variance": "1 - Var(return - value) / Var(return): 1 perfect, 0 no better than a constant",
}
"""What each number that is printed means."""


class Agent(nn.Module):
    """Planes to logits and a value: a small residual tower that never loses sight of the board.

    An observation is [plane, file, rank] as the side to move sees it, an action ``plane * 81 + 9 * file +
    rank`` of the cell where the move ends.  So a 1x1 convolution to 27 planes, flattened, *is* the list of
    logits: what is found at a cell speaks for the moves to that cell.

    Args:
        channels: of the tower.
        blocks: residual blocks of two convolutions.
    """

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()

        def layer(planes: int) -> nn.Sequential:  # GroupNorm acts alike in playing and learning
            conv = nn.Conv2d(planes, channels, 3, padding=1, bias=False)
            return nn.Sequential(conv, nn.GroupNorm(1, channels))

        self.stem = layer(PLANES)
        self.blocks = nn.ModuleList(
            nn.Sequential(layer(channels), nn.ReLU(), layer(channels)) for _ in range(blocks)
        )
        self.policy = nn.Conv2d(channels, MOVE_PLANES, 1)
        look = nn.Conv2d(channels, 8, 1), nn.ReLU(), nn.Flatten()
        self.value = nn.Sequential(*look, nn.Linear(8 * CELLS, 64), nn.ReLU(), nn.Linear(64, 1))
        for last in (self.policy, self.value[-1]):  # at first all legal moves are as likely, all values 0
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.to(memory_format=torch.channels_last)

    def forward(self, planes: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the actions, float32[B, 2187], and values float32[B] in -1..1.

        Args:
            planes: uint8[B, 136, 9, 9].
            masks: bool[B, 2187], the legal actions; the others get a probability of exactly 0.
        """
        x = F.relu(self.stem(planes.contiguous(memory_format=torch.channels_last).float()))
        for block in self.blocks:
            x = F.relu(x + block(x))
        logits = self.policy(x).flatten(1).masked_fill(~masks, -1e8)
        return F.log_softmax(logits, 1), self.value(x).squeeze(1).tanh()

    @torch.no_grad()
    def act(self, planes: Tensor, masks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Draw actions int64[B]; with their log-probabilities and the positions' values, float32[B]."""
        log_probs, values = self(planes, masks)
        actions = torch.multinomial(log_probs.exp(), 1)
        return actions.squeeze(1), log_probs.gather(1, actions).squeeze(1), values


def advantages_of(rewards: Tensor, dones: Tensor, values: Tensor, gamma: float, lam: float) -> Tensor:
    """Generalized advantage estimation where the players take turns.

    The position after a move is the opponent's, and so is its value: what is good for them is bad for
    whoever moved.  Both the bootstrap and the advantage that is handed back therefore change sign,
    which is the usual formula with the discount ``-gamma``.

    Args:
        rewards: float32[T, N] of the player who moved.
        dones: bool[T, N], whether that move ended the game.
        values: float32[T + 1, N] of each position for its side to move.
        gamma: discount for each ply.
        lam: GAE's lambda.

    Returns:
        float32[T, N].
    """
    advantages = torch.zeros_like(rewards)
    later = torch.zeros_like(rewards[0])
    for t in reversed(range(len(rewards))):
        discount = -gamma * (~dones[t]).float()
        delta = rewards[t] + discount * values[t + 1] - values[t]
        later = delta + discount * lam * later
        advantages[t] = later
    return advantages


class Rollout:
    """Games that go on, and storage for T plies of each of them.

    Args:
        args: the settings.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        steps, games = args.num_steps, args.num_envs
        # opponent=None: the learner plays both sides.  "SameStep": a game that ends starts anew in that
        # step, so that every stored ply is a real one.  Nothing is ever truncated: the ply limit is a draw.
        self.envs = gymnasium.make_vec(
            "shogi_env:Shogi-v0", games, opponent=None, autoreset_mode="SameStep", threads=args.threads
        )
        planes, infos = self.envs.reset(seed=args.seed)
        self.now = torch.as_tensor(planes), torch.as_tensor(infos["action_mask"]).bool()
        self.planes = torch.empty((steps, games, PLANES, 9, 9), dtype=torch.uint8)
        self.masks = torch.empty((steps, games, MOVE_PLANES * CELLS), dtype=torch.bool)
        self.actions = torch.empty((steps, games), dtype=torch.int64)
        self.log_probs, self.rewards = torch.empty((2, steps, games))
        self.dones = torch.empty((steps, games), dtype=torch.bool)
        self.values = torch.empty((steps + 1, games))

    def play(self, agent: Agent) -> dict[str, float]:
        """Overwrite the storage with the next T plies of all games; tells of the games that ended."""
        ends = [np.empty((0, 3))]
        for t in range(len(self.actions)):
            self.planes[t], self.masks[t] = self.now
            self.actions[t], self.log_probs[t], self.values[t] = agent.act(*self.now)
            planes, rewards, dones, _, infos = self.envs.step(self.actions[t].numpy())
            self.rewards[t], self.dones[t] = torch.as_tensor(rewards), torch.as_tensor(dones)
            self.now = torch.as_tensor(planes), torch.as_tensor(infos["action_mask"]).bool()
            if dones.any():
                final = infos["final_info"]
                ends.append(np.stack([final[key][dones] for key in ("ply", "termination", "winner")], 1))
        self.values[-1] = agent.act(*self.now)[2]
        plies, reasons, winners = np.concatenate(ends).T
        mates = reasons <= 2  # shogi_env.Termination.CHECKMATE or NO_LEGAL_MOVES
        told = {"game_plies": plies, "decided": winners >= 0, "mates": mates}
        return {name: float(what.mean()) if len(what) else float("nan") for name, what in told.items()}


def update(
    agent: Agent, optimizer: torch.optim.Optimizer, rollout: Rollout, args: argparse.Namespace
) -> dict[str, float]:
    """Learn from a rollout; what is to be told of it."""
    values = rollout.values[:-1]
    advantages = advantages_of(rollout.rewards, rollout.dones, rollout.values, args.gamma, args.gae_lambda)
    returns = advantages + values
    stored = rollout.planes, rollout.masks, rollout.actions, rollout.log_probs, advantages, returns
    flat = [x.flatten(0, 1) for x in stored]
    told: list[tuple[Tensor, ...]] = []
    for _ in range(args.update_epochs):
        for part in torch.randperm(len(flat[0])).split(args.minibatch_size):
            planes, masks, actions, old_log_probs, advantage, target = (x[part] for x in flat)
            log_probs, value = agent(planes, masks)
            log_ratio = log_probs.gather(1, actions[:, None]).squeeze(1) - old_log_probs
            ratio = log_ratio.exp()
            advantage = (advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-8)
            clipped = ratio.clamp(1 - args.clip_coef, 1 + args.clip_coef)
            policy_loss = -torch.min(advantage * ratio, advantage * clipped).mean()
            value_loss = F.mse_loss(value, target)
            entropy = -(log_probs.exp() * log_probs).sum(1).mean()
            loss = policy_loss - args.ent_coef * entropy + args.vf_coef * value_loss
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), args.max_grad_norm)
            optimizer.step()
            with torch.no_grad():
                approx_kl = (ratio - 1 - log_ratio).mean()
                clipfrac = ((ratio - 1).abs() > args.clip_coef).float().mean()
            told.append((policy_loss.detach(), value_loss.detach(), entropy.detach(), approx_kl, clipfrac))
    means = torch.tensor(told).mean(0).tolist()
    names = ("policy_loss", "value_loss", "entropy", "approx_kl", "clipfrac")
    explained = 1 - (returns - values).var() / returns.var()
    return dict(zip(names, means, strict=True)) | {"explained_variance": float(explained)}


def score_against_random(agent: Agent, games: int, seed: int) -> tuple[int, int, int]:
    """Wins, draws and losses against uniformly random legal moves, one game in each environment.

    Here the opponent answers inside `step`: an ordinary environment of one agent, whose moves are drawn
    from the policy as in learning.
    """
    envs = gymnasium.make_vec("shogi_env:Shogi-v0", games, opponent="random", autoreset_mode="SameStep")
    planes, infos = envs.reset(seed=seed)
    results = np.full(games, np.nan)
    while np.isnan(results).any():
        masks = torch.as_tensor(infos["action_mask"]).bool()
        planes, rewards, dones, _, infos = envs.step(agent.act(torch.as_tensor(planes), masks)[0].numpy())
        first = dones & np.isnan(results)  # later games of the same environment do not count
        results[first] = rewards[first]
    return int((results > 0).sum()), int((results == 0).sum()), int((results < 0).sum())


def train(args: argparse.Namespace) -> Agent:
    """Learn until the time or the plies are over; prints the metrics."""
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    agent, rollout = Agent(args.channels, args.blocks), Rollout(args)
    optimizer = torch.optim.Adam(agent.parameters(), lr=args.learning_rate, eps=1e-5)
    plies, began, updates = 0, time.monotonic(), 0
    while plies < args.total_timesteps and time.monotonic() - began < args.seconds:
        metrics = rollout.play(agent) | update(agent, optimizer, rollout, args)
        plies, updates, seconds = plies + rollout.actions.numel(), updates + 1, time.monotonic() - began
        metrics |= {"plies": plies, "seconds": seconds, "plies_per_second": plies / seconds}
        if updates % args.print_every == 0:
            print("  ".join(f"{name}={metrics[name]:.4g}" for name in METRICS), flush=True)
    return agent


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """The settings; `--help` lists them, and the metrics."""
    parser = argparse.ArgumentParser(
        description="PPO learns shogi by playing both sides.",
        epilog="printed: " + "; ".join(f"{name}: {meaning}" for name, meaning in METRICS.items()),
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for name, default, meaning in (
        ("seconds", 600.0, "time to learn"),
        ("total-timesteps", 100_000_000, "plies to learn from, if the time is not over before"),
        ("eval-games", 400, "games against random moves at the end; 0 for none"),
        ("print-every", 10, "updates from one line of metrics to the next"),
        ("seed", 1, "of the weights, the games and the moves"),
        ("threads", 1, "of torch and of the environment"),
        ("num-envs", 64, "games at once"),
        ("num-steps", 64, "plies of each game in a rollout"),
        ("minibatch-size", 512, "samples for each gradient step"),
        ("update-epochs", 1, "times that each rollout is learned from"),
        ("learning-rate", 1e-3, "Adam's step size"),
        ("gamma", 1.0, "discount for each ply"),
        ("gae-lambda", 0.95, "lambda of the advantages"),
        ("clip-coef", 0.2, "how far a probability ratio may leave 1"),
        ("ent-coef", 0.01, "weight of the entropy bonus"),
        ("vf-coef", 0.5, "weight of the value loss"),
        ("max-grad-norm", 0.5, "norm above which gradients are scaled down"),
        ("channels", 32, "of the network's tower"),
        ("blocks", 2, "of the network's tower"),
    ):
        parser.add_argument(f"--{name}", type=type(default), default=default, help=meaning)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    settings = parse_args()
    learned = train(settings)
    if settings.eval_games:
        wins, draws, losses = score_against_random(learned, settings.eval_games, settings.seed)
        print(f"against random: {wins} wins, {draws} draws, {losses} losses of {settings.eval_games} games")
