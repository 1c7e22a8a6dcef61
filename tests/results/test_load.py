"""Which attempts count, read from real databases: against the rule re-stated row by row, and by hand."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchbench.paths import DEFAULT_DB
from benchbench.records import Attempt
from benchbench.results.counted import select_counted
from benchbench.results.load import counted_trials, suite_facts
from benchbench.results.load_units import compare_sides, unit_scores
from benchbench.results.store import Store
from benchbench.stats.facts import SuiteFacts, TaskEnds
from benchbench.stats.leaderboard import make_leaderboard
from benchbench.stats.table import TrialState
from benchbench.stats.trials import CountedTrials
from benchbench.suite_files import find_suite

FACTS = SuiteFacts(
    name="tiny", version="1", baseline="maml", reference="anil", tasks=tuple(TaskEnds(name=n) for n in ("t1", "t2", "t3"))
)  # fmt: skip
STATES = {"ok": TrialState.OK, "declined": TrialState.DECLINED, "infra": TrialState.ABSENT}
OUTCOMES = ("ok", "ok", "ok", "ok", "failed", "timeout", "memory", "crashed", "declined", "infra")


# --------------------------------------------------------------------------------------------------------------------
# the rule, as `results/counted.py` documents it, one row at a time


def trial_of(a: Attempt) -> tuple[Any, ...]:
    return (*conditions_of(a), a.task, a.task_fingerprint, a.method, str(sorted(a.params.items())), a.seed)


def conditions_of(a: Attempt) -> tuple[Any, ...]:
    return (
        a.suite,
        a.suite_version,
        a.protocol_version,
        a.preset,
        int(a.budget.get("test_units") or 0),
        a.threads,
        a.device,
    )


def place_of(a: Attempt) -> tuple[Any, ...]:
    units = int(a.budget.get("test_units") or 0)
    where = a.suite, a.suite_version, a.preset, units, a.threads, a.device, a.task
    return *where, a.method, str(sorted(a.params.items())), a.seed


def source_scope_of(a: Attempt) -> tuple[Any, ...]:
    return a.suite, a.preset, a.threads, a.device, a.method, str(sorted(a.params.items()))


def counted_by_the_rule(attempts: Sequence[Attempt]) -> tuple[dict[tuple[Any, ...], Attempt], dict[str, int]]:
    """Return the attempt of each trial that counts, and by method the trials left with attempts of an older source alone.

    All attempts began at different times.
    """
    newest_source: dict[tuple[Any, ...], str] = {}
    for a in sorted(attempts, key=lambda a: a.started_at):
        if a.outcome != "infra":
            newest_source[source_scope_of(a)] = a.adapter_source_hash
    by_trial: dict[tuple[Any, ...], list[Attempt]] = defaultdict(list)
    for a in attempts:
        by_trial[trial_of(a)].append(a)
    counted = {}
    # with other data or another protocol it is the same trial, measured anew
    has_counted: dict[tuple[Any, ...], bool] = {}
    for trial, own in by_trial.items():
        fitting = [
            a for a in own if newest_source.get(source_scope_of(a), a.adapter_source_hash) == a.adapter_source_hash
        ]
        if fitting:
            counted[trial] = max(fitting, key=lambda a: (a.outcome != "infra", a.started_at))
            has_counted[place_of(own[0])] = True
        elif any(a.outcome != "infra" for a in own):
            has_counted.setdefault(place_of(own[0]), False)
    superseded: dict[str, int] = defaultdict(int)
    for place, is_counted in has_counted.items():
        if not is_counted:
            superseded[place[-3]] += 1
    return counted, dict(superseded)


def assert_as_the_rule_says(found: CountedTrials, attempts: Sequence[Attempt]) -> None:
    expected, superseded = counted_by_the_rule(attempts)
    assert dict(found.superseded) == superseded
    read = {}
    for i, number in enumerate(found.cell.tolist()):
        c = found.cells[number]
        own = next(a for a in attempts if (a.task, a.task_fingerprint, a.method) == (c.task, c.fingerprint, c.method))
        under = c.conditions
        key = (
            own.suite,
            under.suite_version,
            under.protocol_version,
            under.preset,
            under.test_units,
            under.threads,
            under.device,
            c.task,
            c.fingerprint,
            c.method,
            "[('lr', 0.5)]" if "lr" in c.params else "[]",
            int(found.seed[i]),
        )
        assert key not in read
        read[key] = i
    assert read.keys() == expected.keys()
    of_cell: dict[int, list[Attempt]] = defaultdict(list)
    for key, i in read.items():
        a = expected[key]
        of_cell[int(found.cell[i])].append(a)
        state = STATES.get(a.outcome, TrialState.FAILED)
        assert found.state[i] == state
        numbers = (found.score[i], found.deviation[i], found.seconds[i])
        if state == TrialState.OK:
            assert numbers == (a.score, a.score_sd, a.seconds)
            assert found.n_units[i] == a.n_units
        else:
            assert np.isnan(numbers).all()
    for number, own_attempts in of_cell.items():
        c = found.cells[number]
        states = [STATES.get(a.outcome, TrialState.FAILED) for a in own_attempts]
        assert (c.n_ok, c.n_failed, c.n_declined, c.n_lost) == tuple(
            states.count(s) for s in (TrialState.OK, TrialState.FAILED, TrialState.DECLINED, TrialState.ABSENT)
        )
        ended = [a for a in own_attempts if a.outcome == "ok"]
        assert c.newest == max(a.started_at for a in own_attempts)
        assert c.hardware == tuple(sorted({a.hardware_class for a in ended if a.hardware_class}))
        assert c.n_environments == len({a.environment_hash for a in ended})
        assert c.metric == max(a.metric for a in own_attempts)
        assert c.transductive == any(a.transductive for a in own_attempts)
        assert c.iterations == max(int(a.budget.get("iterations") or 0) for a in own_attempts)
        shared = [a.metrics.get("shared_seconds", 0.0) for a in ended]
        assert c.n_shared == sum(s > 0 for s in shared)
        assert c.shared_seconds == pytest.approx(sum(shared) / max(1, len(shared)))


def drawn(make_attempt: Callable[..., Attempt], rng: random.Random, n: int, **ranges: Sequence[Any]) -> list[Attempt]:
    """Draw attempts of few trials, so that they are often repeated, each at a time of its own."""
    choices: dict[str, Sequence[Any]] = {
        "task": ("t1", "t2", "t3"),
        "method": ("maml", "anil", "it's"),
        "params": ({}, {"lr": 0.5}),
        "seed": range(4),
        "suite_version": ["1"] * 9 + ["0"],
        "protocol_version": ["3"] * 9 + ["2"],
        "preset": ("quick", "quick", "long"),
        "threads": (1, 1, 1, 2),
        "device": ["cpu"] * 4 + ["cuda"],
        "task_fingerprint": ["new"] * 5 + ["old"],
        "adapter_source_hash": ("source-1", "source-1", "source-2"),
        "outcome": OUTCOMES,
        "hardware_class": ("", "one", "two"),
        "environment_hash": ("env-1", "env-2"),
        "transductive": (False, False, True),
    } | ranges
    times = rng.sample(range(n * 3), n)
    made = []
    for number in range(n):
        values = {name: rng.choice(own) for name, own in choices.items()}
        values["budget"] = {"test_units": rng.choice([3] * 9 + [5]), "iterations": rng.choice([0, 7])}
        values["metrics"] = {"shared_seconds": rng.choice([0.0, 1.5])} if rng.random() < 0.3 else {}
        if values["outcome"] == "ok":
            values["score"] = rng.random()
        made.append(make_attempt(number, **values, seconds=rng.random(), started_at=1e9 + times[number]))
    return made


def landed(folder: Path, attempts: Sequence[Attempt], n_folded: int = 0) -> Store:
    store = Store(folder / "results.duckdb")
    store.open_for_writing()
    if attempts[:n_folded]:
        store.land_attempts(attempts[:n_folded])
        store.ingest()
    if attempts[n_folded:]:
        store.land_attempts(attempts[n_folded:])
    return store


def keys_of_the_view(store: Store) -> set[str]:
    with store.reading() as con:
        select_counted(con, "tiny")
        return {row[0] for row in con.execute("SELECT attempt_id FROM counted").fetchall()}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), n=st.integers(1, 60), share=st.floats(0, 1))
def test_random_databases_count_what_the_rule_says(
    seed: int, n: int, share: float, make_attempt: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = random.Random(seed)
    # now and then everything is of one source, or nothing is lost: columns of one text only are never read
    ranges: dict[str, Sequence[Any]] = {}
    for name, alone in (("adapter_source_hash", ("source-1",)), ("outcome", ("ok",)), ("device", ("cpu",))):
        if rng.random() < 0.3:
            ranges[name] = alone
    attempts = drawn(make_attempt, rng, n, **ranges)
    other = make_attempt(n, suite="other", task="t1", started_at=2e9, adapter_source_hash="source-3")
    store = landed(tmp_path_factory.mktemp("random"), [*attempts, other], round(share * n))
    assert_as_the_rule_says(counted_trials(store, "tiny"), attempts)
    assert keys_of_the_view(store) == {a.attempt_id for a in counted_by_the_rule(attempts)[0].values()}


@pytest.fixture
def messy(tmp_path: Path, make_attempt: Any) -> tuple[Store, list[Attempt]]:
    """Return a store of 900 attempts of several conditions, data, sources and tries, some landed and not folded in."""
    attempts = drawn(make_attempt, random.Random(11), 900)
    return landed(tmp_path, attempts, 600), attempts


def test_a_large_mess_counts_what_the_rule_says(messy: tuple[Store, list[Attempt]]) -> None:
    store, attempts = messy
    assert_as_the_rule_says(counted_trials(store, "tiny"), attempts)
    expected, superseded = counted_by_the_rule(attempts)
    assert superseded, "some trials are of an older source alone"
    assert len(expected) < len(attempts) - sum(superseded.values()), "some trials were tried again"
    assert keys_of_the_view(store) == {a.attempt_id for a in expected.values()}
    # the same trials that `bench compare` pairs, where it looks at the newest data only
    sides = compare_sides(store, "tiny")
    assert {(s.task, s.method, s.seed, s.score) for s in sides} <= {
        (a.task, a.method, a.seed, a.score) for a in expected.values()
    }


def test_the_leaderboard_shows_the_counted_trials(messy: tuple[Store, list[Attempt]]) -> None:
    store, attempts = messy
    trials, expected = counted_trials(store, "tiny"), counted_by_the_rule(attempts)[0]
    n_scores = 0
    for options in ({}, {"preset": "long"}, {"threads": 2}, {"preset": "long", "threads": 2}, {"methods": ["it's"]}):
        board = make_leaderboard(trials, FACTS, **options)  # type: ignore[arg-type]
        assert board.conditions is not None
        table = board.measured
        under = board.conditions
        for (m, method), (t, task), (u, unit) in itertools.product(
            enumerate(table.methods), enumerate(table.tasks), enumerate(table.units)
        ):
            name, params = method.partition("(")[0], "[('lr', 0.5)]" if "(" in method else "[]"
            key = (
                "tiny",
                under.suite_version,
                under.protocol_version,
                under.preset,
                under.test_units,
                under.threads,
                under.device,
                task,
                board.fingerprints[task],
                name,
                params,
                unit,
            )
            attempt = expected.get(key)
            state = TrialState.ABSENT if attempt is None else STATES.get(attempt.outcome, TrialState.FAILED)
            assert table.states[m, t, u] == state
            if attempt is not None and state == TrialState.OK:
                assert table.scores[m, t, u] == attempt.score
                n_scores += 1
            else:
                assert np.isnan(table.scores[m, t, u])
        of_task = [r for r in board.rows if r.task is not None]
        assert int((table.states == TrialState.OK).sum()) == sum(r.n_ok for r in of_task)
        assert int((table.states == TrialState.FAILED).sum()) == sum(r.n_failed for r in of_task)
        if "methods" not in options:
            # shown or left out: nothing vanishes
            n_trials = sum(r.n_ok + r.n_failed + r.n_declined + r.n_lost for r in of_task)
            assert n_trials + board.n_left_out == len(expected) + sum(n for _, n in trials.superseded)
    assert n_scores > 60


# --------------------------------------------------------------------------------------------------------------------
# by hand


def only(trials: CountedTrials) -> dict[tuple[str, int], tuple[int, float]]:
    """Return state and score by method and seed."""
    return {
        (trials.cells[c].method, int(seed)): (int(state), float(score))
        for c, seed, state, score in zip(trials.cell, trials.seed, trials.state, trials.score, strict=True)
    }


def test_of_a_trial_the_newest_attempt_that_was_not_lost_counts(tmp_path: Path, make_attempt: Any) -> None:
    common: dict[str, Any] = {"task": "t1", "seed": 0}
    store = landed(
        tmp_path,
        [
            make_attempt(1, **common, started_at=1.0, score=0.1),
            make_attempt(2, **common, started_at=3.0, score=0.3),
            make_attempt(3, **common, started_at=4.0, outcome="infra"),
            make_attempt(5, **common, method="anil", started_at=5.0, outcome="infra"),
            make_attempt(6, **common, method="anil", started_at=6.0, outcome="infra"),
        ],
    )
    found = only(counted_trials(store, "tiny"))
    assert found["maml", 0] == (TrialState.OK, pytest.approx(0.3))
    assert (len(found), found["anil", 0][0]) == (2, TrialState.ABSENT)
    assert [(c.method, c.n_lost, c.n_trials) for c in counted_trials(store, "tiny").cells] == [
        ("anil", 1, 1),
        ("maml", 0, 1),
    ]


def test_a_failure_that_is_newer_counts(tmp_path: Path, make_attempt: Any) -> None:
    attempts = [make_attempt(i, task="t1", seed=0, outcome=o) for i, o in enumerate(["ok", "timeout"])]
    assert only(counted_trials(landed(tmp_path, attempts), "tiny"))["maml", 0][0] == TrialState.FAILED


def test_only_the_newest_source_of_a_method_counts(tmp_path: Path, make_attempt: Any) -> None:
    attempts = [
        make_attempt(1, task="t1", seed=0, score=0.1),
        make_attempt(2, task="t1", seed=1, score=0.5, adapter_source_hash="source-2"),
        # lost: says nothing of sources
        make_attempt(3, task="t1", seed=2, outcome="infra", adapter_source_hash="source-3"),
        # other methods, parameters and presets have sources of their own
        make_attempt(4, task="t1", seed=0, score=0.2, method="anil"),
        make_attempt(5, task="t1", seed=0, score=0.3, params={"lr": 0.5}),
        make_attempt(6, task="t1", seed=0, score=0.4, preset="long"),
    ]
    found = counted_trials(landed(tmp_path, attempts), "tiny")
    assert sorted(found.score[~np.isnan(found.score)]) == pytest.approx([0.2, 0.3, 0.4, 0.5])
    assert found.superseded == (("maml", 1),)


def test_a_score_that_is_no_number_is_a_failure(tmp_path: Path, make_attempt: Any) -> None:
    scores = [0.5, float("nan"), float("inf"), None]
    attempts = [
        make_attempt(i, task="t1", seed=i, score=s, score_sd=0.1, unit_scores=[0.5, 0.5]) for i, s in enumerate(scores)
    ]
    found = counted_trials(landed(tmp_path, attempts), "tiny")
    ok, failed = TrialState.OK, TrialState.FAILED
    assert {seed: state for (_, seed), (state, _) in only(found).items()} == {0: ok, 1: failed, 2: failed, 3: failed}
    assert (found.cells[0].n_ok, found.cells[0].n_failed) == (1, 3)


def test_seeds_far_apart(tmp_path: Path, make_attempt: Any) -> None:
    seeds = [-3, 7, 2**40]
    attempts = [make_attempt(i, task="t1", seed=s, score=i / 4) for i, s in enumerate(seeds)]
    table = make_leaderboard(counted_trials(landed(tmp_path, attempts), "tiny"), FACTS).measured
    assert table.units == tuple(seeds)
    assert table.scores[0, 0].tolist() == [0.0, 0.25, 0.5]


def test_zero_seconds_of_published_results_are_not_known(tmp_path: Path, make_attempt: Any) -> None:
    attempts = [
        make_attempt(0, task="t1", seconds=0.0, protocol_version="published: X"),
        make_attempt(1, task="t1", seconds=2.0, protocol_version="published: X"),
        make_attempt(2, task="t2", seconds=0.0),
    ]
    found = counted_trials(landed(tmp_path, attempts), "tiny")
    seconds = dict(zip(found.seed.tolist(), found.seconds.tolist(), strict=True))
    assert np.isnan(seconds[0])
    assert (seconds[1], seconds[2]) == (2.0, 0.0)


def test_nothing_recorded(tmp_path: Path, make_attempt: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert counted_trials(Store(DEFAULT_DB), "tiny").cells == ()
    store = landed(tmp_path, [make_attempt(0)])
    found = counted_trials(store, "another suite")
    assert (found.cells, found.cell.shape, found.superseded) == ((), (0,), ())
    board = make_leaderboard(counted_trials(store, "tiny"), FACTS, preset="longer")
    assert (board.conditions, board.measured.shape) == (None, (0, 0, 0))


def test_units_of_counted_trials_alone(tmp_path: Path, make_attempt: Any) -> None:
    attempts = [
        make_attempt(0, task="t1", seed=0, unit_scores=[0.1, 0.2]),
        make_attempt(1, task="t1", seed=0, unit_scores=[0.3, 0.5]),
        make_attempt(2, task="t1", seed=1, outcome="failed"),
        make_attempt(3, task="t1", seed=2, unit_scores=[0.9], task_fingerprint="old", started_at=1.0),
    ]
    store = landed(tmp_path, attempts)
    board = make_leaderboard(counted_trials(store, "tiny"), FACTS)
    found = unit_scores(store, "tiny", board.conditions, board.fingerprints, "maml", "{}")
    assert {key: (one.unit, one.scores) for key, one in found.items()} == {("t1", 0): ("episode", (0.3, 0.5))}
    assert unit_scores(store, "tiny", None, {}, "maml", "{}") == {}


def test_facts_of_a_suite_file() -> None:
    suite = find_suite("smoke")
    found = suite_facts(suite)
    assert (found.name, found.version, found.baseline, found.reference) == (
        suite.name,
        suite.version,
        suite.scores.baseline,
        suite.scores.reference,
    )
    assert [(t.name, t.baseline_score, t.reference_score) for t in found.tasks] == [
        (t.name, t.baseline_score, t.reference_score) for t in suite.tasks
    ]
    assert found.ends()
