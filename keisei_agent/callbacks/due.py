"""When something that happens every so many decisions is due."""


class Due:
    """Tells, once per boundary, whether a multiple of `every` was crossed since the last look.

    Several multiples within one rollout are one event, whatever `n_envs` is.  The number of decisions at
    the last look is all that it remembers: a callback keeps `steps` in its state and sets it again when
    the run is resumed.

    >>> due = Due(100)
    >>> [due.crossed(steps) for steps in (0, 64, 128, 192, 448)]
    [False, False, True, False, True]
    """

    def __init__(self, every: int | None, steps: int = 0) -> None:
        """Start to look.

        Args:
            every: decisions between events; None has none.
            steps: decisions so far.
        """
        self.every = every
        self.steps = steps
        """Decisions at the last look."""

    def crossed(self, steps: int) -> bool:
        """Whether the event is due at so many decisions; this counts as a look."""
        before, self.steps = self.steps, steps
        return self.every is not None and steps // self.every > before // self.every
