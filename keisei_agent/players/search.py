"""Search players: a network looks ahead, by `shogi_env.search`."""

from pathlib import Path

import torch as th

import shogi_env
from keisei_agent.files.weights import find_weights
from keisei_agent.networks.network import Network
from keisei_agent.players.network import check_device, load_player, select_planes
from shogi_env.arena.digest import digest_of, digest_of_file
from shogi_env.arena.players import SEARCH_SETTINGS, Player, Spec, make_searcher
from shogi_env.search.puct import Evaluate
from shogi_env.types import Float32Array, UInt8Array


def evaluate_with(network: Network) -> Evaluate:
    """The function that guides a search, from a network on its device."""

    def evaluate(planes: UInt8Array) -> tuple[Float32Array, Float32Array]:
        seen = th.as_tensor(select_planes(network, planes), device=network.device)
        with th.inference_mode():
            logits, values = network(seen)
        return logits.cpu().numpy(), values[:, 0].cpu().numpy()

    return evaluate


def make_search_player(spec: Spec) -> Player:
    """Make the player of ``search:PATH;sims=64;temperature=0;mate=500;device=cpu``; see `load_player`.

    Raises:
        ValueError: the spec is wrong, or there is no such checkpoint or device.
    """
    settings = spec.read({**SEARCH_SETTINGS, "device": str})
    if not spec.argument:
        raise ValueError(f"{spec.text!r}: write search:PATH")
    device = check_device(spec, settings)
    path = find_weights(Path(spec.argument))
    player = make_searcher(spec, settings, evaluate_with(load_player(path, device=device).network))
    what = digest_of_file(path), player.simulations, player.temperature, player.mate_nodes
    return Player(
        name=spec.text,
        spec=spec.text,
        version=f"keisei {shogi_env.__version__}",
        digest=digest_of(*what),
        choose=player,
        deterministic=player.temperature == 0,
    )
