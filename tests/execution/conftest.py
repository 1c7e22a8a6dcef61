"""Stand-ins for environments: an interpreter that sees what this one has installed, without a build."""

from __future__ import annotations

import contextlib
import json
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from benchbench.execution import environments
from benchbench.registry import get_method


def plant(method: str) -> environments.Environment:
    """Put an interpreter in place of a method's environment; it is kept for the next run of the tests."""
    needed = environments.wanted(get_method(method))
    folder = needed.folder
    if environments.find(needed) is None:
        site = folder / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
        site.mkdir(parents=True, exist_ok=True)
        # packages are found there, but not what their .pth files would add (this package's own editable install)
        (site / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
        (folder / "bin").mkdir(exist_ok=True)
        # tests run side by side, and another process may be doing the same
        with contextlib.suppress(FileExistsError):
            (folder / "bin" / "python").symlink_to(Path(sys._base_executable))  # type: ignore[attr-defined]
        (folder / "pyvenv.cfg").write_text(f"home = {Path(sys._base_executable).parent}\n")  # type: ignore[attr-defined]
        facts = {
            "versions": {"toy": "1.5"},
            "python_version": "3",
            "seconds": 0.0,
            "created_at": time.time(),
            "n_bytes": 0,
        }
        (folder / environments.MANIFEST).write_text(json.dumps(facts))
    found = environments.find(needed)
    assert found is not None
    return found


@pytest.fixture(scope="session")
def wrapped() -> environments.Environment:
    """The environment of the method `wrapped`."""
    return plant("wrapped")
