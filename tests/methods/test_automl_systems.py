"""Each wrapped system once for real, in its own environment, at a tiny budget on a small table.

The first run builds the environments (minutes, and a network); they are kept in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openml_files import write_task

from benchbench.contracts.context import fit_limit_seconds
from benchbench.execution import supervisor
from benchbench.paths import cache_dir
from benchbench.records import TrialOutcome
from benchbench.registry import get_method, methods

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.usefixtures("zygotes"), pytest.mark.timeout(1500)]

SYSTEMS = sorted(
    name
    for name, entry in methods().items()
    if entry.card.requirements and entry.module.startswith("benchbench.methods.automl.")
)
TABLES = ("breast_cancer", "wine", "diabetes")
# with the name of the environment in front, so that `-k` finds all that runs in one
CASES = [
    pytest.param(name, table, id=f"{Path(get_method(name).card.requirements).stem}-{name}-{table}")
    for name in SYSTEMS
    for table in TABLES
]

# fit seconds: enough for a first model of each on a busy machine
SECONDS = {"autokeras": 30.0, "autogluon": 60.0, "h2o": 30.0, "random_pipelines": 90.0, "tpot": 90.0}
# far from what class frequencies (0.5, -1.1) or the mean (about -77) score, and far from the best: what goes wrong between a system and its
# adapter (inputs that the fitted model does not know) shows here, not in whether there is a score
ENOUGH = {"auc": 0.9, "neg_log_loss": -0.7, "neg_rmse": -70.0}


def execute(make_request: Any, name: str, table: str) -> TrialOutcome:
    seconds = SECONDS.get(name, 15.0)
    request = make_request(
        name,
        loader="sklearn",
        options={"table": table},
        fit_seconds=seconds,
        time_limit_seconds=600.0,
        memory_limit_mib=4096,
    )
    return supervisor.execute(request)


def seconds(outcome: TrialOutcome) -> str:
    """Return where a trial's time went, for whoever reads the log."""
    parts = ", ".join(f"{name} {value:.1f}" for name, value in outcome.phases.items())
    return f"{outcome['wall_seconds']:.1f} s ({parts}), {outcome['peak_memory_mib']:.0f} MiB at most"


def test_there_are_some() -> None:
    assert len(SYSTEMS) >= 6


@pytest.mark.parametrize(("name", "table"), CASES)
def test_system(make_request: Any, name: str, table: str) -> None:
    outcome = execute(make_request, name, table)
    assert outcome.outcome == "ok", (outcome.error_message, outcome.traceback, outcome.log_tail)
    assert outcome.score > ENOUGH[outcome.metric]
    # it ends by itself, which leaves the harness nothing to stop
    assert outcome.phases["fit"] < fit_limit_seconds(SECONDS.get(name, 15.0))
    print(f"{name} on {table}: {seconds(outcome)}")
    # nothing outlives its trial, and its own environment is on record
    assert "left running" not in outcome.log_tail
    assert [n for n in outcome.environment if n.startswith("environment/")]
    assert outcome.metrics["environment_start_seconds"] > 0


ODD_VALUES = ('"', "a,b", "c:d", "[e]", "{f}", "it's", "back\\slash", "NA", "1.5", "<b>")
ODD_TABLE = 990101


@pytest.fixture
def odd_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """Write a table whose names, categories and classes have characters that mean something in JSON; values are odd too."""
    columns = {'a "b" , : [ ] { }': "numeric", "f0": "numeric", "n" * 3000: "numeric", "target": ODD_VALUES}
    classes = ('x,"y"', "[z]{:}")
    rows = [(i % 9, "inf" if i % 11 == 0 else i, "1e200", ODD_VALUES[i % 10], classes[i % 9 > 3]) for i in range(120)]
    write_task(tmp_path, ODD_TABLE, {**columns, "__target__": classes}, rows, [range(40), range(40, 120)])
    # environments are kept, prepared tables are not
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "environments").symlink_to(cache_dir() / "environments")
    monkeypatch.setenv("BENCHBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BENCHBENCH_DATA", str(tmp_path))
    supervisor.abort_all()
    yield {"task": ODD_TABLE}
    supervisor.abort_all()


@pytest.mark.parametrize(
    "name", [pytest.param(n, id=f"{Path(get_method(n).card.requirements).stem}-{n}") for n in SYSTEMS]
)
def test_a_system_takes_any_names_and_values(make_request: Any, odd_table: dict[str, int], name: str) -> None:
    request = make_request(
        name,
        loader="openml",
        options=odd_table,
        fit_seconds=SECONDS.get(name, 15.0),
        time_limit_seconds=600.0,
        memory_limit_mib=4096,
    )
    outcome = supervisor.execute(request)
    assert outcome.outcome == "ok", (outcome.error_message, outcome.traceback, outcome.log_tail)
    assert len(outcome.remarks) == 1 and "column 'f0' has 11 infinite or too large values" in outcome.remarks[0]


def test_random_search_over_tpot_repeats_if_its_number_is_given(make_request: Any) -> None:
    """The same draws, folds and scores, whatever the time; more of them can only be rated better on the folds."""
    curves = []
    for n in (4, 4, 8):
        request = make_request(
            "random_pipelines",
            loader="sklearn",
            options={"table": "wine"},
            params={"max_evaluations": n, "batch_size": 4, "search_space": "linear-light"},
            fit_seconds=300.0,
            time_limit_seconds=900.0,
            memory_limit_mib=4096,
        )
        outcome = supervisor.execute(request)
        assert outcome.outcome == "ok", (outcome.error_message, outcome.log_tail)
        curves.append([(p.step, p.value) for p in outcome.curve if p.metric == "validation_score"])
    assert curves[0] == curves[1] == curves[2][:1]
    assert [step for step, _ in curves[2]] == [4, 8]
    assert curves[2][1][1] >= curves[2][0][1]
