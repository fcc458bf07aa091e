"""Shogi for TorchRL: `make_vec_env`, the native batch with its masks applied.

>>> from shogi_env.adapters.torchrl import make_vec_env  # doctest: +SKIP
>>> batch = make_vec_env(64, opponent="random").rollout(100, break_when_any_done=False)  # doctest: +SKIP
"""

from typing import Any

from shogi_env.adapters._extras import missing
from shogi_env.core.constants import NUM_ACTIONS
from shogi_env.vector import ShogiVectorEnv

try:
    import torch
    from torchrl.data import Composite, Unbounded
    from torchrl.envs import ActionMask, DTypeCastTransform, GymWrapper, TransformedEnv
    from torchrl.envs.gym_like import default_info_dict_reader
except ImportError as error:
    raise missing("TorchRL", "torchrl", error) from error


def make_vec_env(num_envs: int, **env_kwargs: Any) -> TransformedEnv:
    """N games in one `ShogiVectorEnv`, as a TorchRL environment of batch size [N].

    Actions are indices, int64[N]; "action_mask" bool[N, 2187] stands beside "observation", and
    `rand_action` obeys it. A game that ends starts anew in the same step; its last position is at
    ``("next", "observation")``, as TorchRL's losses expect.

    Args:
        num_envs: number of games N.
        **env_kwargs: the arguments of `ShogiVectorEnv` but for autoreset_mode.

    Raises:
        SfenError: a start is not a position.
        ValueError: an argument is out of range.
    """
    games = ShogiVectorEnv(num_envs, autoreset_mode="SameStep", **env_kwargs)
    env = GymWrapper(games, categorical_action_encoding=True)
    mask = Unbounded((num_envs, NUM_ACTIONS), dtype=torch.int8)
    spec = Composite(action_mask=mask, shape=(num_envs,))
    env.set_info_dict_reader(default_info_dict_reader(["action_mask"], spec=spec))
    env.append_transform(DTypeCastTransform(torch.int8, torch.bool, in_keys=["action_mask"]))
    env.append_transform(ActionMask())
    return env
