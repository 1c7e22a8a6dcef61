"""Few-shot methods keep to the device they are given. Seen without a GPU; on one: `test_cuda`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_every_method_keeps_to_its_device() -> None:
    """In a process of its own, since torch takes a new device only before the first gradient, and for good."""
    tests = Path(__file__).with_name("on_pretended_device.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(tests)],
        cwd=tests.parents[2],
        env={**{k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
