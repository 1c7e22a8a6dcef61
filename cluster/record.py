"""Turns what a worker reported into the record of an attempt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from benchbench import __version__
from benchbench.cluster.driver import Finished
from benchbench.provenance import environment_hash, git_state
from benchbench.records import Attempt, TrialOutcome
from benchbench.spec import content_hash

__all__ = ["attempt_id", "attempt_of"]

# what the record has under the same name
_TAKEN_OVER = tuple(f.name for f in fields(TrialOutcome) if f.name != "curve")


def attempt_id(run_id: str, trial_id: str, try_number: int) -> str:
    """Return the id of one try: the same however often Dask may have run it."""
    return content_hash([run_id, trial_id, try_number])


def attempt_of(finished: Finished, run_id: str) -> Attempt:
    """Return the attempt's record."""
    trial, spec, outcome = finished.trial, finished.trial.spec, finished.outcome
    commit, dirty = git_state()
    taken_over = {name: _clean(getattr(outcome, name)) for name in _TAKEN_OVER}
    return Attempt(
        attempt_id=attempt_id(run_id, trial.trial_id, finished.try_number),
        run_id=run_id,
        trial_id=trial.trial_id,
        try_number=finished.try_number,
        suite=spec.suite,
        suite_version=spec.suite_version,
        track=spec.track,
        task=spec.task,
        task_fingerprint=trial.fingerprint,
        protocol_version=trial.protocol_version,
        method=spec.method,
        params=dict(spec.params),
        transductive=trial.transductive,
        seed=spec.seed,
        preset=spec.budget.preset,
        budget=spec.to_dict()["budget"],
        threads=spec.budget.threads,
        device=spec.device,
        curve=[replace(point, metric=_clean(point.metric)) for point in outcome.curve],
        worker=finished.worker,
        adapter_source_hash=trial.source_hash,
        environment_hash=environment_hash(dict(outcome.environment)),
        git_commit=commit,
        git_dirty=dirty,
        benchbench_version=__version__,
        **taken_over,
    )


def _clean(value: Any) -> Any:
    """Replace what cannot be stored as UTF-8 (lone surrogates) in texts.

    A method may print and report anything.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_clean(k): _clean(v) for k, v in value.items()}
    return [_clean(item) for item in value] if isinstance(value, tuple) else value
