"""The only file that touches Numba's internals: `compiled`, `kernel` and its disk cache, `lower`.

A kernel is what Python calls; a compiled function is what kernels call.  Only kernels are cached on
disk, each with one signature, so that many processes may fill an empty cache at the same time.
Numba stamps a cached function with its own file alone and would go on using stale code after a
change in another; our stamp is a hash of the whole package.
"""

import hashlib
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba import types

from shogi_env.types import UInt8Array

F = TypeVar("F", bound=Callable[..., Any])

_config: Any = numba.config  # gets its names when Numba is imported
ENABLED = not _config.DISABLE_JIT
"""False with NUMBA_DISABLE_JIT=1: all functions here then run as plain Python."""
_SOURCES = [*sorted(Path(__file__).parent.glob("*.py")), Path(__file__).parent.parent / "types.py"]
STAMP = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()[:16]
"""Names this version of all that kernels are made of in the compile cache."""
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
_INNER = _OPTIONS | {"no_cpython_wrapper": True}  # not callable from Python
_announced = False
KERNELS: dict[str, Any] = {}
"""Every kernel by name, for checks."""


def compiled(function: F) -> F:
    """Compile a function that only kernels and other compiled functions call."""
    return cast(F, _plain(numba.njit(**_INNER)(function)))


def inlined(function: F) -> F:
    """Like `compiled`, for short functions: LLVM always inlines them."""
    return cast(F, _plain(numba.njit(forceinline=True, **_INNER)(function)))


def _plain(dispatcher: Any) -> Any:
    """Let a function be compiled once per type, not once per constant it is called with."""
    if ENABLED:
        resolve = dispatcher.get_call_template
        dispatcher.get_call_template = lambda args, kws: resolve(
            [types.unliteral(a) for a in args], {k: types.unliteral(a) for k, a in kws.items()}
        )
    return dispatcher


def kernel(function: F) -> F:
    """Compile a function that Python calls, on first use, and keep it on disk."""
    dispatcher: Any = numba.njit(**_OPTIONS)(function)
    if ENABLED:
        _enable_cache(dispatcher, function)
        KERNELS[function.__qualname__] = dispatcher
    return cast(F, dispatcher)


def _announce(reason: str) -> None:
    """Say once per process why the first call takes seconds."""
    global _announced
    if not _announced:
        _announced = True
        print(f"shogi_env: compiling the rules ({reason})", file=sys.stderr, flush=True)


try:
    from numba.core.caching import FunctionCache, IndexDataCacheFile, NullCache
    from numba.core.runtime.nrt import rtsys

    class _StampedCache(FunctionCache):
        """Numba's cache of one function, with the package's stamp in its file names."""

        def __init__(self, function: Callable[..., Any]) -> None:
            super().__init__(function)
            self._base = self._impl.filename_base
            self._cache_file = IndexDataCacheFile(self._cache_path, f"{self._base}-{STAMP}", STAMP)

        def load_overload(self, sig: Any, target_context: Any) -> Any:
            # Numba's own method first imports all that it can compile with (SciPy too, if it is
            # there), half a second; loading needs its runtime alone.
            rtsys.initialize(target_context)
            found = None
            with self._guard_against_spurious_io_errors():
                found = self._load_overload(sig, target_context)
            if found is None:
                _announce("once: the result is cached; `python -m shogi_env warmup` does all of it now")
            return found

        def save_overload(self, sig: Any, data: Any) -> None:
            super().save_overload(sig, data)
            for path in Path(self._cache_path).glob(f"{self._base}-*.nb[ic]"):
                if STAMP not in path.name:
                    path.unlink(missing_ok=True)

    class _NoCache(NullCache):
        """What a kernel gets where no folder is writable."""

        def load_overload(self, sig: Any, target_context: Any) -> None:
            _announce("in every process: no cache folder is writable; set NUMBA_CACHE_DIR to one that is")

    def _enable_cache(dispatcher: Any, function: Callable[..., Any]) -> None:
        try:
            dispatcher._cache = _StampedCache(function)
        except RuntimeError:  # Numba found no folder it may write to
            dispatcher._cache = _NoCache()

except ImportError:  # Numba moved its cache: its own stamp would miss changes, so nothing is kept
    warnings.warn("shogi_env does not know this Numba's cache and compiles in every process", stacklevel=2)

    def _enable_cache(dispatcher: Any, function: Callable[..., Any]) -> None:
        pass


# --------------------------------------------------------------- LLVM's 128-bit integers
I64, I128 = ir.IntType(64), ir.IntType(128)


class BitboardType(types.Type):
    """Numba's type of a bitboard: LLVM's i128."""

    def __init__(self) -> None:
        super().__init__(name="Bitboard")


BITBOARD = BitboardType()

if ENABLED:
    from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
    from numba.extending import lower_builtin, models, register_model

    @register_model(BitboardType)
    class _BitboardModel(models.PrimitiveModel):
        def __init__(self, manager: Any, numba_type: Any) -> None:
            super().__init__(manager, numba_type, I128)


Build: TypeAlias = Callable[..., ir.Value]
"""``build(builder, *values)``: appends LLVM instructions and returns their result."""


def lower(function: Callable[..., Any], result: Any, *arguments: Any) -> Callable[[Build], Build]:
    """Make a decorator that registers the compiled form of a Python function or operator.

    Without JIT the Python function itself runs, so it is the reference of the compiled form.

    Args:
        function: what compiled code calls.
        result: Numba's type of its result.
        *arguments: Numba's types of its arguments.
    """

    def register(build: Build) -> Build:
        if ENABLED:
            infer_global(function)(
                type("_Template", (ConcreteTemplate,), {"cases": [signature(result, *arguments)]})
            )
            lower_builtin(function, *arguments)(lambda context, builder, sig, args: build(builder, *args))
        return build

    return register


def _spread(builder: Any, word: Any, out: Any, at: Any) -> ir.Value:
    """64 bits to 64 bytes of 0 or 1: a few vector instructions."""
    flags = builder.bitcast(word, ir.VectorType(ir.IntType(1), 64))
    pixels = builder.zext(flags, ir.VectorType(ir.IntType(8), 64))
    data = builder.extract_value(out, 4)  # the pointer in Numba's array struct
    address = builder.bitcast(builder.gep(data, [at]), pixels.type.as_pointer())
    builder.store(pixels, address).align = 1
    return ir.Constant(ir.IntType(1), 1)


def spread(word: np.uint64, out: UInt8Array, at: int) -> bool:
    """Write the 64 bits of a word as 64 bytes 0 or 1.

    Args:
        word: uint64.
        out: contiguous uint8[>= at + 64]; 64 elements are overwritten from `at` on.
        at: index of the first byte.

    Returns:
        True; compiled code needs some result.
    """
    out[at : at + 64] = np.unpackbits(np.array([word], np.uint64).view(np.uint8), bitorder="little")
    return True


lower(spread, types.boolean, types.uint64, types.Array(types.uint8, 1, "C"), types.int64)(_spread)


def as_int(number: Any) -> int:
    """Widen an integer, so that it counts alike in both modes: int64 compiled, `int` without JIT.

    Plain Python would keep NumPy's int8 in ``row.turn + 300``, where compiled code widens.
    """
    return int(number)


lower(as_int, types.int64, types.int64)(lambda builder, number: number)
