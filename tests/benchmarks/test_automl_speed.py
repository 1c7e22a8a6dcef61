"""What the harness costs around a method for tables: the trial's wall time without what the method itself takes. Never a gate on time.

Of a trial's wall time, the method's are fitting, predicting (all rows, single rows, labels) and, in an environment of its own, the start
of its interpreter with all imports. The rest is the harness's, with its parts. Each test prints them:

    make bench BENCH='tests/benchmarks/test_automl_speed.py -rP'

Goals: under 0.15 s in this environment, under 2.5 s in another one. Whole systems (`pytest -m network -rP`) take minutes.
"""

from __future__ import annotations

import statistics
from typing import Any

import pytest

from benchbench.execution import supervisor
from benchbench.records import TrialOutcome
from benchbench.registry import get_method, methods

pytestmark = pytest.mark.usefixtures("zygotes")

METHODS_OWN = ("fit", "predict", "latency", "labels")
BUILT_IN = sorted(
    name
    for name, entry in methods().items()
    if entry.card.track == "automl" and entry.module.startswith("benchbench.methods.")
)
HERE = [name for name in BUILT_IN if not get_method(name).card.requirements]
ELSEWHERE = [name for name in BUILT_IN if get_method(name).card.requirements]
# fit seconds: what they need for a first model
SECONDS = {"autogluon": 30.0, "autokeras": 30.0, "h2o": 20.0, "random_pipelines": 60.0, "tpot": 60.0}


def harness_seconds(outcome: TrialOutcome) -> dict[str, float]:
    """Return the seconds of a trial that are not the method's: all of them, and their parts."""
    phases = dict(outcome.phases)
    own = sum(phases.pop(name, 0.0) for name in METHODS_OWN)
    # the start and its imports are a part of these two phases
    start = outcome.metrics.get("environment_start_seconds", 0.0)
    prepared = phases.pop("import", 0.0) + phases.pop("setup", 0.0) - start
    total = outcome.wall_seconds - own - start
    parts = {"import and setup": prepared, **phases}
    return {"harness": total, **parts, "fork, record, end": total - sum(parts.values())}


def measure(benchmark: Any, request: dict[str, Any], rounds: int) -> None:
    found = []

    def trial() -> None:
        outcome = supervisor.execute(request)
        assert outcome.outcome == "ok", outcome
        found.append(outcome)

    # the first one starts the zygote
    benchmark.pedantic(trial, rounds=rounds, warmup_rounds=1 if rounds > 1 else 0)
    all_parts = [harness_seconds(outcome) for outcome in found[-rounds:]]
    medians = {name: round(statistics.median(parts[name] for parts in all_parts), 4) for name in all_parts[0]}
    # on a busy machine it says more than wall time: of `constant_predictor` nearly all of it is the harness's
    medians["CPU, method included"] = round(statistics.median(outcome.cpu_seconds for outcome in found[-rounds:]), 4)
    benchmark.extra_info |= medians
    print(request["spec"]["method"], medians)


def request_of(make_request: Any, name: str, seconds: float) -> dict[str, Any]:
    request: dict[str, Any] = make_request(
        name,
        loader="sklearn",
        options={"table": "breast_cancer"},
        fit_seconds=seconds,
        time_limit_seconds=600.0,
        memory_limit_mib=4096,
    )
    return request


@pytest.mark.parametrize("name", HERE)
def test_a_trial_here(benchmark: Any, make_request: Any, name: str) -> None:
    measure(benchmark, request_of(make_request, name, 0.5), rounds=7)


def test_a_trial_in_another_interpreter(benchmark: Any, make_request: Any, wrapped: None) -> None:
    """Of a method that does nothing, in a stand-in for an environment."""
    measure(benchmark, request_of(make_request, "wrapped", 1.0), rounds=5)


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_trial_of_a_system(benchmark: Any, make_request: Any, name: str) -> None:
    supervisor.prepare_environment(name)
    measure(benchmark, request_of(make_request, name, SECONDS.get(name, 15.0)), rounds=1)
