"""The grid of a board holds the very trials that the board counts."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from benchbench.results.boards import board_cells, frozen_baselines, frozen_ends, perfect_scores, score_grid
from benchbench.results.store import Store
from benchbench.spec import content_hash
from benchbench.stats.facts import SuiteFacts, TaskEnds
from benchbench.stats.table import TrialState
from benchbench.suite_files import BEST_KNOWN

FACTS = SuiteFacts(
    name="tiny",
    version="1",
    baseline="maml",
    reference="anil",
    tasks=(TaskEnds(name="t1", baseline_score=0.2, reference_score=0.9), TaskEnds(name="t2", baseline_score=0.1), TaskEnds(name="t3")),
)  # fmt: skip


def trial(make_attempt: Any, number: int, **values: Any) -> Any:
    """Make an attempt whose trial id follows from what it is of, as in `bench run`."""
    made = make_attempt(number, **{"params": {}, "transductive": False, **values})
    made.trial_id = content_hash(
        [made.suite_version, made.task, made.method, made.params, made.seed, made.budget, made.preset, made.threads]
    )
    return made


@pytest.fixture
def messy(store: Store, make_attempt: Any) -> Store:
    """Return a store of attempts of several groups, data, sources and tries, some landed and not folded in."""
    rng = random.Random(11)
    made = []
    for number in range(900):
        outcome = rng.choice(["ok"] * 6 + ["failed", "timeout", "declined", "infra"])
        made.append(
            trial(
                make_attempt,
                number,
                task=rng.choice(["t1", "t2", "t3"]),
                method=rng.choice(["maml", "anil", "it's"]),
                params=rng.choice([{}, {"lr": 0.5}]),
                seed=rng.randrange(4),
                suite_version=rng.choice(["1"] * 9 + ["0"]),
                protocol_version=rng.choice(["3"] * 9 + ["2"]),
                preset=rng.choice(["quick", "quick", "long"]),
                budget={"preset": "any", "test_units": rng.choice([3] * 9 + [5]), "iterations": 7},
                threads=rng.choice([1, 1, 1, 2]),
                task_fingerprint=rng.choice(["new"] * 5 + ["old"]),
                adapter_source_hash=rng.choice(["source-1", "source-2"]),
                started_at=1e9 + (number * 487) % 900,
                outcome=outcome,
                score=rng.random() if outcome == "ok" else None,
                seconds=rng.random(),
            )
        )
    store.land_attempts(made[:600])
    store.ingest()
    store.land_attempts(made[600:])
    store.land_attempts([make_attempt(5000, suite="other", task="t1")])
    return store


def test_the_grid_holds_what_the_board_counts(messy: Store) -> None:
    cells, _ = board_cells(messy, "tiny")
    n_groups = n_scores = 0
    for options in ({}, {"preset": "long"}, {"threads": 2}, {"preset": "long", "threads": 2}, {"methods": ["it's"]}):
        board = leaderboard(cells, FACTS, **options)
        assert board.conditions is not None
        grid = score_grid(messy, "tiny", board)
        assert grid.methods == tuple(dict.fromkeys(r.label for r in board.rows))
        counted = [
            c for c in cells if c.conditions == board.conditions and c.fingerprint == board.fingerprints.get(c.task)
        ]
        counted = [c for c in counted if c.label in grid.methods]
        assert counted
        for c in counted:
            m, t = grid.methods.index(c.label), grid.tasks.index(c.task)
            scores = grid.scores[m, t]
            assert tuple(scores[~np.isnan(scores)]) == c.seed_scores, c
            assert int((grid.states[m, t] == TrialState.FAILED).sum()) == c.n_failed
            assert int((grid.states[m, t] == TrialState.DECLINED).sum()) == c.n_declined
            assert grid.seconds is not None
            if c.n_ok:
                assert np.nanmean(grid.seconds[m, t]) == pytest.approx(c.seconds)
            n_scores += c.n_ok
        assert int((grid.states == TrialState.OK).sum()) == sum(c.n_ok for c in counted)
        n_groups += 1
    assert n_groups == 5
    assert n_scores > 60


def test_of_a_trial_the_newest_attempt_of_the_newest_source_counts(store: Store, make_attempt: Any) -> None:
    common: dict[str, Any] = {"task": "t1", "method": "maml", "seed": 0}
    store.land_attempts(
        [
            trial(make_attempt, 1, **common, started_at=1.0, score=0.1),
            trial(make_attempt, 2, **common, started_at=3.0, score=0.3),
            trial(make_attempt, 3, **common, started_at=4.0, outcome="infra", score=None),
            trial(make_attempt, 4, **{**common, "seed": 1}, started_at=5.0, score=0.5, adapter_source_hash="source-2"),
            trial(make_attempt, 5, **{**common, "method": "anil"}, started_at=5.0, outcome="infra", score=None),
        ]
    )
    cells, _ = board_cells(store, "tiny")
    grid = score_grid(store, "tiny", leaderboard(cells, FACTS))
    # seed 0 is of an older source than seed 1
    own = grid.methods.index("maml")
    assert grid.units == (0, 1)
    assert grid.scores[own, 0].tolist() == pytest.approx([np.nan, 0.5], nan_ok=True)
    # with one source alone, the newest that was not lost
    alone = Store(store.path.with_name("alone.duckdb"))
    alone.open_for_writing()
    alone.land_attempts(
        [
            trial(make_attempt, 1, **common, started_at=1.0, score=0.1),
            trial(make_attempt, 2, **common, started_at=3.0, score=0.3),
            trial(make_attempt, 3, **common, started_at=4.0, outcome="infra", score=None),
            trial(make_attempt, 5, **{**common, "method": "anil"}, started_at=5.0, outcome="infra", score=None),
        ]
    )
    grid = score_grid(alone, "tiny", leaderboard(board_cells(alone, "tiny")[0], FACTS))
    assert grid.scores[grid.methods.index("maml"), 0].tolist() == [0.3]
    assert grid.states[grid.methods.index("anil"), 0].tolist() == [TrialState.ABSENT]


def test_a_score_that_is_no_number_is_a_failure(store: Store, make_attempt: Any) -> None:
    store.land_attempts([trial(make_attempt, i, task="t1", seed=i, score=s) for i, s in enumerate([0.5, float("nan")])])
    cells, _ = board_cells(store, "tiny")
    grid = score_grid(store, "tiny", leaderboard(cells, FACTS))
    assert grid.states[0, 0].tolist() == [TrialState.OK, TrialState.FAILED]


def test_seeds_far_apart(store: Store, make_attempt: Any) -> None:
    seeds = [-3, 7, 2**40]
    store.land_attempts([trial(make_attempt, i, task="t1", seed=s, score=i / 4) for i, s in enumerate(seeds)])
    cells, _ = board_cells(store, "tiny")
    grid = score_grid(store, "tiny", leaderboard(cells, FACTS))
    assert grid.units == tuple(seeds)
    assert grid.scores[0, 0].tolist() == [0.0, 0.25, 0.5]


def test_an_empty_board_has_an_empty_grid(messy: Store) -> None:
    cells, _ = board_cells(messy, "tiny")
    assert score_grid(messy, "tiny", leaderboard(cells, FACTS, preset="longer")).shape == (0, 0, 0)


def test_what_a_suite_freezes(messy: Store) -> None:
    assert frozen_ends(FACTS) == {"t1": (0.2, 0.9)}
    assert frozen_baselines(FACTS) == {"t1": 0.2, "t2": 0.1}
    board = leaderboard(board_cells(messy, "tiny")[0], FACTS)
    assert perfect_scores(board, FACTS) == {"t1": 1.0, "t2": 1.0, "t3": 1.0}
    best = SuiteFacts(name="tiny", version="1", baseline="maml", reference=BEST_KNOWN, tasks=FACTS.tasks)
    assert perfect_scores(board, best) == {"t1": 0.9, "t2": 1.0, "t3": 1.0}
