"""Each wrapped system once for real, in its own environment, at a tiny budget on a small table.

The first run builds the environments (minutes, and a network); they are kept in the cache.
"""

from __future__ import annotations

from typing import Any

import pytest

from benchbench.execution import supervisor
from benchbench.registry import methods

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.usefixtures("zygotes"), pytest.mark.timeout(1500)]

SYSTEMS = sorted(
    name
    for name, entry in methods().items()
    if entry.card.requirements and entry.module.startswith("benchbench.methods.automl.")
)

# fit seconds: enough for a first model of each on a busy machine
SECONDS = {"autokeras": 30.0, "autogluon": 60.0, "h2o": 30.0, "tpot": 90.0}
# what the mean, or the class frequencies, would score
CHANCE = {"auc": 0.5, "neg_log_loss": -1.1, "neg_rmse": -80.0}


def execute(make_request: Any, name: str, table: str) -> dict[str, Any]:
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


def test_there_are_some() -> None:
    assert len(SYSTEMS) >= 5


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("table", ["breast_cancer", "wine", "diabetes"])
def test_system(make_request: Any, name: str, table: str) -> None:
    outcome = execute(make_request, name, table)
    assert outcome["outcome"] == "ok", (outcome.get("error_message"), outcome.get("traceback"), outcome["log_tail"])
    assert outcome["score"] > CHANCE[outcome["metric"]]
    # nothing outlives its trial, and its own environment is on record
    assert "left running" not in outcome["log_tail"]
    assert [n for n in outcome["environment"] if n.startswith("environment/")]
    assert outcome["metrics"]["environment_start_seconds"] > 0
