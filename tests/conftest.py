"""Fixtures shared by all tests."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from benchbench.records import Attempt

# modules that several folders of tests share
sys.path.insert(0, str(Path(__file__).parent))
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
def make_harness(tmp_path: Path) -> Any:
    """Make the harness of a trial that has ten minutes left."""
    from benchbench.execution.harness import TrialHarness

    def make(seed: int = 0, device: str = "cpu", **more: Any) -> TrialHarness:
        deadline = time.monotonic() + 600
        return TrialHarness(seed=seed, device=device, threads=1, scratch=tmp_path, deadline=deadline, **more)

    return make


@pytest.fixture
def make_context(make_harness: Any) -> Any:
    """Make the context of a trial that has ten minutes left."""
    return lambda *args, **more: make_harness(*args, **more).context


def attempt_of(number: int, **changes: Any) -> Attempt:
    """Return the attempt of a trial, given by the fields that matter; without any, one that succeeded.

    Scores by unit follow from `score` and the other way round, the id of the trial from what it is a trial of; an
    attempt that did not succeed has neither score nor metric.
    """
    from benchbench.records import Attempt
    from benchbench.spec import content_hash

    values: dict[str, Any] = {
        "attempt_id": content_hash(["attempt", number]),
        "run_id": "run",
        "try_number": 1,
        "suite": "tiny",
        "suite_version": "1",
        "track": "fewshot",
        "task": "letters",
        "task_fingerprint": f"data of {changes.get('task', 'letters')}",
        "protocol_version": "3",
        "method": "maml",
        "params": {},
        "transductive": False,
        "seed": number,
        "preset": "quick",
        "threads": 1,
        "device": "cpu",
        "outcome": "ok",
        "unit": "episode",
        "seconds": 2.0,
        "wall_seconds": 3.0,
        "started_at": 1e9 + number,
        "hardware_class": "cpu, 2 cores",
        "adapter_source_hash": "source-1",
        "environment_hash": "env-1",
        **changes,
    }
    values.setdefault("budget", {"preset": values["preset"], "test_units": 4})
    if values["outcome"] == "ok":
        if "unit_scores" not in values:
            score = values.get("score", 0.5)
            values["unit_scores"] = [score - 0.1, score, score, score + 0.1]
        scores = values["unit_scores"]
        mean = sum(scores) / len(scores) if scores else None
        squares = [(s - mean) ** 2 for s in scores]
        values.setdefault("metric", "accuracy")
        values.setdefault("n_units", len(scores))
        values.setdefault("score", mean)
        values.setdefault("score_sd", (sum(squares) / (len(scores) - 1)) ** 0.5 if len(scores) > 1 else None)
    names = ("suite", "suite_version", "task", "method", "params", "seed", "preset", "budget", "threads", "device")
    values.setdefault("trial_id", content_hash([values[n] for n in names]))
    return Attempt(**values)


@pytest.fixture(scope="session")
def make_attempt() -> Callable[..., Attempt]:
    """Make attempts, each by a number and the fields that matter; folders override its defaults."""
    return attempt_of


@pytest.fixture(scope="session")
def zygotes() -> Iterator[None]:
    """End the zygotes of this process after the tests."""
    yield
    from benchbench.execution.supervisor import abort_all

    abort_all()


def plant(method: str) -> Any:
    """Put an interpreter in place of a method's environment, without a build; it sees what this one has installed.

    It is kept for the next run of the tests.
    """
    from benchbench.execution import environments
    from benchbench.registry import get_method

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


@pytest.fixture
def unbounded() -> Any:
    """Make the table of two optimisers whose intervals of rank and regret reach beyond what can be."""
    from benchbench.stats.anytime import Incumbents, anytime_table

    losses = {"a": [1.0, 8.0, 20.0], "b": [9.0, 2.0, 6.0]}
    trials = [
        Incumbents(task="t", label=m, seed=s, budget=4.0, spent=(1.0,), seconds=(1.0,), losses=(loss,))
        for m, own in losses.items()
        for s, loss in enumerate(own)
    ]
    found = anytime_table(trials, {"t": (0.0, 10.0)}, baseline="a")
    last = found.rows[0].curve[-1]
    assert last.rank.mean + (last.rank.ci95 or 0.0) > 2.0
    assert last.regret.mean - (last.regret.ci95 or 0.0) < 0.0
    return found


@pytest.fixture(scope="session")
def wrapped() -> Any:
    """The environment of the methods `wrapped` and `wrapped_episodes`."""
    return plant("wrapped")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the browser's path, or skip."""
    pytest.importorskip("playwright.sync_api", reason="Playwright's Python package is not installed")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium: apt-get install -y --no-install-recommends chromium")
    return found


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        found.close()
