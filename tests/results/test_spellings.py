"""Methods that were recorded under several spellings of their parameters."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchbench.results.load import counted_trials
from benchbench.results.load_units import compare_sides
from benchbench.results.spellings import recorded_spellings
from benchbench.results.store import Store

SPELLINGS: list[dict[str, Any]] = [
    {},
    {"penalty": 1},
    {"penalty": 1.0},
    {"max_iterations": 500},
    {"max_iterations": 500, "penalty": 1},
    {"penalty": 3},
    {"penalty": 3.0},
]


@pytest.fixture
def spelt(store: Store, make_attempt: Any) -> Store:
    """Return a store with trials of seven spellings of two methods, the newest last."""
    attempts = [
        make_attempt(
            i, suite="tiny", task="t1", method="linear_model", params=params, seed=0, score=i / 10, started_at=i
        )
        for i, params in enumerate(SPELLINGS)
    ]
    # not registered any more; a parameter that it does not have any more; of a type it does not take
    odd: list[tuple[str, dict[str, Any]]] = [
        ("gone", {"x": 1}),
        ("gone", {"x": 1.0}),
        ("linear_model", {"gone": 1}),
        ("linear_model", {"penalty": "l2"}),
    ]
    attempts += [
        make_attempt(50 + i, suite="tiny", task="t1", method=method, params=params, seed=0, started_at=9.0)
        for i, (method, params) in enumerate(odd)
    ]
    store.land_attempts(attempts)
    return store


def test_all_spellings_are_one_row_and_the_newest_attempt_counts(spelt: Store) -> None:
    trials = counted_trials(spelt, "tiny")
    cells = [trials.cells[c] for c in trials.cell]
    found = {(c.method, c.params): float(s) for c, s in zip(cells, trials.score, strict=True)}
    assert found.pop(("linear_model", "{}")) == pytest.approx(0.4)
    assert found.pop(("linear_model", '{"penalty":3.0}')) == pytest.approx(0.6)
    assert sorted(found) == [
        ("gone", '{"x":1.0}'),
        ("gone", '{"x":1}'),
        ("linear_model", '{"gone":1}'),
        ("linear_model", '{"penalty":"l2"}'),
    ]
    sides = {(s.method, s.params): s.score for s in compare_sides(spelt, "tiny")}
    assert len(sides) == 6
    assert sides["linear_model", "{}"] == pytest.approx(0.4)


def test_rows_keep_what_was_recorded(spelt: Store) -> None:
    recorded = [a["params"] for a in spelt.attempts_of_run("run") if a["method"] == "linear_model"]
    assert sorted(map(str, recorded)) == sorted(map(str, [*SPELLINGS, {"gone": 1}, {"penalty": "l2"}]))
    found = recorded_spellings(spelt, "tiny")
    assert sorted(map(str, found["linear_model", "{}"])) == sorted(map(str, SPELLINGS[1:5]))
    assert found["linear_model", '{"penalty":3.0}'] == [{"penalty": 3}]
    assert recorded_spellings(spelt, "other") == {}


def test_a_board_imports_no_torch_and_survives_a_broken_plug_in(spelt: Store, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import does_not_exist\n")
    script = (
        "import os, sys; os.environ['BENCHBENCH_METHODS'] = sys.argv[2]\n"
        "from pathlib import Path\n"
        "from benchbench.results.load import counted_trials\n"
        "from benchbench.results.store import Store\n"
        "n = len(counted_trials(Store(Path(sys.argv[1])), 'tiny').cells)\n"
        "print(n, sorted({'torch', 'sklearn', 'optuna'} & set(sys.modules)))\n"
    )
    for plugins, expected in ((tmp_path / "broken.py", "6 []"), (tmp_path / "missing.py", "11 []")):
        done = subprocess.run(
            [sys.executable, "-P", "-W", "error", "-c", script, str(spelt.path), str(plugins)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == expected
