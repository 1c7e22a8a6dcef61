"""The environment variables that a trial sees: those listed here, and no others.

Credentials of the user (clouds, registries, tokens) are in the environment of many shells, and a
method needs none of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

__all__ = ["EXACTLY", "PASS_VARIABLE", "PREFIXES", "seen_by_trials"]

PASS_VARIABLE = "BENCHBENCH_PASS_ENV"
"""Names the further variables that trials see, comma-separated."""

_EXACTLY = (
    "HOME HOSTNAME JAVA_HOME LANG LANGUAGE LD_LIBRARY_PATH LOGNAME PATH PYTHONHASHSEED PYTHONPATH SHELL TERM TMPDIR"
)
_EXACTLY += " TZ USER VIRTUAL_ENV XDG_CACHE_HOME XDG_RUNTIME_DIR"
EXACTLY = frozenset(_EXACTLY.split())

# settings of libraries that compute; none of these libraries keeps credentials there
_FAMILIES = (
    "BENCHBENCH BLIS CUBLAS CUDA CUDNN GOMP JOBLIB KMP LC LOKY MALLOC MKL NCCL NUMBA NUMEXPR NVIDIA OMP OPENBLAS"
)
_FAMILIES += " POLARS PYTORCH TF TORCH VECLIB XLA"
PREFIXES: tuple[str, ...] = tuple(f"{name}_" for name in _FAMILIES.split())


def seen_by_trials(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of an environment that trials see.

    Parameters
    ----------
    environment : mapping of str to str
        That of the worker.
    """
    more = {name.strip() for name in environment.get(PASS_VARIABLE, "").split(",")}
    return {k: v for k, v in environment.items() if k in EXACTLY or k in more or k.startswith(PREFIXES)}
