"""Listing methods must stay quick: importing an adapter's module imports neither torch nor numpy."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchbench.registry import methods

HEAVY = ("torch", "numpy", "pandas", "sklearn", "scipy", "matplotlib")
MODULES = sorted({e.module for e in methods().values() if e.module.startswith("benchbench.methods.")})


def test_all_methods_are_found() -> None:
    assert {m.rsplit(".", 1)[1] for m in MODULES} >= {"from_scratch", "maml", "pixel_nn", "protonet"}


@pytest.mark.parametrize("module", MODULES)
def test_import_is_light(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
