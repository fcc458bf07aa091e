"""What is freed comes back without asking the system for it again."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
from keisei_agent.learning.memory import keep_freed_memory

if {keep}:
    keep_freed_memory()
count = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones({size}, np.uint8)
before = count()
for _ in range(10):
    np.ones({size}, np.uint8)
print(count() - before)
"""
SIZE = 16 * 2**20


def faults(keep: bool) -> int:
    """Pages that the system had to give out again while an array came and went ten times."""
    command = [sys.executable, "-c", FAULTS.format(keep=keep, size=SIZE)]
    return int(subprocess.run(command, capture_output=True, timeout=120, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_freed_memory_is_kept():
    assert faults(keep=True) < 100 < faults(keep=False)
