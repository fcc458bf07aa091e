"""How many mates the raw policy sees."""

from functools import cached_property

from stable_baselines3.common.callbacks import BaseCallback

from keisei_agent.callbacks.due import Due
from keisei_agent.learning.policy import NetworkPolicy
from keisei_agent.mates import LENGTHS, MateTest, load_mates
from keisei_agent.players import NetworkPlayer


class MatesCallback(BaseCallback):
    """Counts every so often in how many of the fixed mates the policy's most probable legal move mates.

    Keys: `mates/in_1`, `mates/in_3`.
    """

    def __init__(self, every: int | None) -> None:
        """Prepare it.

        Args:
            every: decisions between counts; None counts none.
        """
        super().__init__()
        self._due = Due(every)

    @cached_property
    def _tests(self) -> dict[int, MateTest]:
        return {plies: MateTest(load_mates(plies)) for plies in LENGTHS}

    def _on_training_start(self) -> None:
        self._due.steps = self.model.num_timesteps

    def _on_rollout_start(self) -> None:
        if not self._due.crossed(self.model.num_timesteps):
            return
        assert isinstance(self.model.policy, NetworkPolicy)
        player = NetworkPlayer(self.model.policy.network, temperature=0)
        for plies, test in self._tests.items():
            self.logger.record(f"mates/in_{plies}", test.share_found(player))

    def _on_step(self) -> bool:
        return True
