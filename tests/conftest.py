"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# before anything scans the registry: methods that misbehave, for tests only
PLUGINS = Path(__file__).parent / "plugins"
os.environ["BENCHBENCH_METHODS"] = str(PLUGINS)
os.environ.pop("BENCHBENCH_DB", None)
# prepared data and artefacts of tests stay out of the user's own cache, and are kept for the next run
os.environ.setdefault("BENCHBENCH_CACHE", str(Path(__file__).parents[1] / ".benchbench" / "tests-cache"))
# tests run side by side: OpenMP threads that spin for a busy core made some of them fifty times slower
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def data_folder() -> Path:
    """Folder of real data, or skip."""
    chosen = os.environ.get("BENCHBENCH_DATA")
    if not chosen or not Path(chosen).is_dir():
        pytest.skip("real data are not here: set BENCHBENCH_DATA")
    return Path(chosen).resolve()


@pytest.fixture
def make_request() -> Any:
    """Make the request of a trial on a task that costs next to nothing."""
    from benchbench.contracts.context import Budget
    from benchbench.protocols.base import get_protocol
    from benchbench.registry import get_loader
    from benchbench.spec import TrialSpec

    def make(
        method: str, *, loader: str = "sinusoid", options: dict[str, Any] | None = None, **budget: Any
    ) -> dict[str, Any]:
        params = budget.pop("params", {})
        seed = budget.pop("seed", 0)
        options = {"shot": 10} if options is None else options
        get_loader(loader).prepare(options, lambda line: None)
        spec = TrialSpec(
            suite="tests",
            suite_version="1",
            track=get_loader(loader).track,
            task="tiny",
            loader=loader,
            options=options,
            method=method,
            params=params,
            seed=seed,
            budget=Budget(**{"preset": "tests", "iterations": 0, "test_units": 3, "grace_seconds": 0.3, **budget}),
            device="cpu",
        )
        return {
            "spec": spec.to_dict(),
            "fingerprint": get_loader(loader).fingerprint(options),
            "preload": list(get_protocol(spec.track).PRELOAD),
            "visible_gpus": "",
        }

    return make


@pytest.fixture
def make_context(tmp_path: Path) -> Any:
    """Make the context of a trial that has ten minutes left."""
    from benchbench.contracts.context import Context

    def make(seed: int = 0, **more: Any) -> Context:
        deadline = time.monotonic() + 600
        return Context(seed=seed, device="cpu", threads=1, scratch=tmp_path, deadline=deadline, **more)

    return make


@pytest.fixture(scope="session")
def zygotes() -> Iterator[None]:
    """End the zygotes of this process after the tests."""
    yield
    from benchbench.execution.supervisor import abort_all

    abort_all()
