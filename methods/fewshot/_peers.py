"""Adapters of few-shot libraries take of each its algorithm alone. Importing this is light."""

from __future__ import annotations

import importlib.util
import sys

__all__ = ["skip_init"]


def skip_init(package: str) -> None:
    """Make modules of a package importable without its `__init__`, which would import all of it.

    Those of learn2learn and easyfsl need torchvision for data sets and networks that are not used
    here, and learn2learn's also gym.

    Raises
    ------
    ModuleNotFoundError
        If there is no such package.
    """
    if package in sys.modules:
        return
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    sys.modules[package] = importlib.util.module_from_spec(spec)
