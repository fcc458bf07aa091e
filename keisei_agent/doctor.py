"""What this machine offers: devices, number formats, threads, versions. Imports torch only when asked."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

CUDA_INSTALL = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu130"
"""Replaces a CPU-only torch."""
VISIBLE = "CUDA_VISIBLE_DEVICES"
"""Environment variable that hides GPUs from torch."""
_DISTRIBUTIONS = (
    "keisei",
    "numpy",
    "numba",
    "gymnasium",
    "torch",
    "stable-baselines3",
    "sb3-contrib",
    "safetensors",
    "pydantic",
    "PyYAML",
    "tensorboard",
    "rich",
)


def report() -> Iterator[str]:
    """Yield one line per finding, then advice if there is any."""
    for name, finding in _findings():
        yield f"{name:<22}{finding}"
    if importlib.util.find_spec("torch") is None:
        yield 'torch is missing: pip install "keisei[agent]"'
        return
    advice = cuda_advice()
    if advice:
        yield advice


def _findings() -> Iterator[tuple[str, str]]:
    """Yield what was looked for, and what was found."""
    yield "system", platform.platform()
    yield "python", platform.python_version()
    for name, version in versions().items():
        yield name, version or "not installed"
    yield "cpu", f"{os.cpu_count()} logical cores"
    yield "nvidia driver", "found" if has_nvidia_driver() else "not found"
    if VISIBLE in os.environ:
        yield VISIBLE, repr(os.environ[VISIBLE])
    if importlib.util.find_spec("torch") is None:
        return
    import torch

    yield "torch threads", str(torch.get_num_threads())
    yield "bfloat16 on cpu", "native" if has_bfloat16("cpu") else "only emulated, float32 is used"
    yield "cuda", "available" if torch.cuda.is_available() else "not available"
    for index in range(torch.cuda.device_count()):
        bfloat16 = "bfloat16" if has_bfloat16(f"cuda:{index}") else "no bfloat16"
        yield f"cuda:{index}", f"{torch.cuda.get_device_name(index)}, {bfloat16}"
    yield "mps", "available" if torch.backends.mps.is_available() else "not available"
    yield "device auto", resolve_device("auto")


def versions() -> dict[str, str | None]:
    """Return the installed version of what a run depends on, None for what is missing."""
    return {name: _version(name) for name in _DISTRIBUTIONS}


def has_nvidia_driver() -> bool:
    """Whether an NVIDIA driver is installed, whatever torch says."""
    return (
        shutil.which("nvidia-smi") is not None
        or Path("/proc/driver/nvidia").exists()
        or (
            sys.platform == "win32"
            and Path(os.environ.get("SYSTEMROOT", "C:/Windows"), "System32/nvcuda.dll").exists()
        )
    )


def cuda_advice() -> str | None:
    """Return one line of advice if there is an NVIDIA driver that this torch cannot use, else None."""
    import torch

    if torch.version.cuda is not None or not has_nvidia_driver():
        return None
    found = f"An NVIDIA driver is installed, but torch {torch.__version__} is CPU-only."
    return f"{found} To use the GPU: {CUDA_INSTALL}"


def resolve_device(device: str) -> str:
    """Return the device that "auto" stands for here: cuda, mps or cpu; others unchanged."""
    import torch

    if device != "auto":
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def missing_device(device: str) -> str | None:
    """Return why a device cannot be used, None if it can."""
    import torch

    kind, _, index = device.partition(":")
    if kind == "cuda":
        hidden = f" ({VISIBLE} = {os.environ[VISIBLE]!r})" if VISIBLE in os.environ else ""
        if not torch.cuda.is_available():
            return cuda_advice() or f"torch {torch.__version__} finds no CUDA device{hidden}"
        if index and int(index) >= torch.cuda.device_count():
            return f"there are {torch.cuda.device_count()} CUDA devices, counted from 0{hidden}"
    if kind == "mps" and not torch.backends.mps.is_available():
        return "torch finds no Apple GPU"
    return None


def has_bfloat16(device: str) -> bool:
    """Whether the device computes in bfloat16; emulation, which is slower than float32, does not count."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


def _version(distribution: str) -> str | None:
    """Installed version of a distribution."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
