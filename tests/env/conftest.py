"""What holds for the whole session."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def every_kernel_keeps_to_one_signature():
    """Two signatures of one kernel could overwrite each other's file when processes race."""
    yield
    from shogi_env.core import jit

    many = {name: kernel.signatures for name, kernel in jit.KERNELS.items() if len(kernel.signatures) > 1}
    assert not many
