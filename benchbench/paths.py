"""Paths of the data, the derived caches and the results database."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["DEFAULT_DB", "cache_dir", "data_dir", "default_db", "nearest_above"]

DEFAULT_DB = Path(".benchbench") / "benchbench.duckdb"
"""The results database under the current folder; where it is missing, there are no results yet."""


def _user_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return Path(base).expanduser() if base else Path.home() / ".cache"


def data_dir() -> Path:
    """Return the folder of original data sets: `BENCHBENCH_DATA`, else the user's cache.

    It may be read-only.
    """
    chosen = os.environ.get("BENCHBENCH_DATA")
    return Path(chosen).expanduser().resolve() if chosen else _user_cache() / "benchbench" / "data"


def cache_dir() -> Path:
    """Return the folder of all that is derived from data: `BENCHBENCH_CACHE`, else the user's
    cache.
    """
    chosen = os.environ.get("BENCHBENCH_CACHE")
    return Path(chosen).expanduser().resolve() if chosen else _user_cache() / "benchbench" / "derived"


def default_db() -> Path:
    """Return the results database: `BENCHBENCH_DB`, else `.benchbench/benchbench.duckdb`."""
    chosen = os.environ.get("BENCHBENCH_DB")
    return Path(chosen).expanduser() if chosen else DEFAULT_DB


def nearest_above(path: Path) -> Path:
    """Return the nearest existing folder above a path (or a file in its place)."""
    return next((folder for folder in path.parents if folder.exists()), path.parent)
