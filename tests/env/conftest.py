"""What holds for the whole session, and what several files use."""

import pytest

pytest.register_assert_rewrite("vec_envs")


@pytest.fixture(scope="session", autouse=True)
def every_kernel_keeps_to_one_signature():
    """Two signatures of one kernel could overwrite each other's file when processes race."""
    yield
    from shogi_env.core import jit

    many = {name: kernel.signatures for name, kernel in jit.KERNELS.items() if len(kernel.signatures) > 1}
    assert not many


@pytest.fixture
def make():
    """The SB3 adapter's `make_vec_env`, closing what it made; two workers unless told otherwise."""
    from shogi_env.adapters.sb3 import make_vec_env  # stable-baselines3 is optional

    made = []

    def make_one(num_envs, backend="native", **kwargs):
        if backend == "subproc":
            kwargs.setdefault("num_workers", min(2, num_envs))
        env = make_vec_env(num_envs, backend, **kwargs)
        made.append(env)
        return env

    yield make_one
    for env in made:
        env.close()
