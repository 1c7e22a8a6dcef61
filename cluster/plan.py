"""What is to be run: a lazy stream of trials, those already done left out.

The trials of a task are known once its data are prepared. Pure: no Dask, no clock, no database.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchbench.contracts.context import Budget, base_preset
from benchbench.errors import InputError, UnmeetableRequestError
from benchbench.protocols.base import get_protocol
from benchbench.registry import MethodEntry, get_loader, get_method, methods, normal_params, parse_method
from benchbench.spec import TrialSpec, canonical_json
from benchbench.stats.labels import method_label
from benchbench.suite_files import PresetSpec, SuiteSpec, TaskSpec

__all__ = [
    "DESIGN",
    "DoneKey",
    "MethodRequest",
    "PlannedTrial",
    "Request",
    "Schedule",
    "Spellings",
    "choose_methods",
]

ALL = "all"
"""In place of a method's name: every method of the track."""

DESIGN = "design"
"""Family of methods that make tables for others and are not compared: they run only if named."""

DoneKey = tuple[str, str, str, str]
"""(trial id, adapter source hash, task fingerprint, protocol version): if all four are equal, an
attempt still counts.
"""

Spellings = Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]
"""Other recorded spellings of the parameters of (method, normal parameters as canonical JSON)."""


@dataclass(frozen=True, slots=True)
class MethodRequest:
    """A method with the requested parameters, in their normal spelling."""

    entry: MethodEntry
    params: dict[str, Any]

    @property
    def label(self) -> str:
        """``name(param=value, ...)``."""
        return method_label(self.entry.name, canonical_json(self.params))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a user asked `bench run` for, validated."""

    suite: SuiteSpec
    preset_name: str
    preset: PresetSpec
    tasks: tuple[TaskSpec, ...]
    methods: tuple[MethodRequest, ...]
    seeds: tuple[int, ...]
    device: str


@dataclass(frozen=True, slots=True)
class PlannedTrial:
    """A trial and the state of the world that it is planned for."""

    spec: TrialSpec
    trial_id: str
    fingerprint: str
    source_hash: str
    protocol_version: str
    transductive: bool
    preload: tuple[str, ...]

    @property
    def done_key(self) -> DoneKey:
        """What an earlier attempt must agree with to count for this trial."""
        return (self.trial_id, self.source_hash, self.fingerprint, self.protocol_version)


def choose_methods(suite: SuiteSpec, texts: Sequence[str]) -> tuple[MethodRequest, ...]:
    """Return the methods named by `texts`; without any, the suite's, else all of its track.

    The word "all" stands for every method of the track except designs; further texts may add
    variants with parameters.

    Raises
    ------
    UnknownNameError, InputError
        For unknown methods or parameters, a method of another track, or one that is named twice
        with the same parameters, however they are written.
    """
    everything = [name for name, e in methods().items() if e.card.track == suite.track and e.card.family != DESIGN]
    chosen = list(texts) or list(suite.methods) or everything
    found: list[MethodRequest] = []
    if ALL in chosen:
        found = [MethodRequest(get_method(name), {}) for name in everything]
        chosen = [text for text in chosen if text != ALL]
    of_all = {one.label for one in found}
    named: set[str] = set()
    for text in chosen:
        one = _requested(suite, text)
        if one.label in named:
            meaning = "" if text.strip() == one.label else f" (it is {one.label})"
            raise InputError(f"method {text!r} is named more than once{meaning}")
        if one.label not in of_all:
            named.add(one.label)
            found.append(one)
    if not found:
        raise InputError(f"there are no methods for track {suite.track!r}")
    return tuple(found)


def _requested(suite: SuiteSpec, text: str) -> MethodRequest:
    name, params = parse_method(text)
    entry = get_method(name)
    one = MethodRequest(entry, normal_params(entry, params))
    if entry.card.track != suite.track:
        raise InputError(f"method {name!r} is of track {entry.card.track!r}, suite {suite.name!r} of {suite.track!r}")
    return one


def _done_keys(trial: PlannedTrial, spellings: Spellings) -> Iterator[DoneKey]:
    yield trial.done_key
    if spellings:
        spec = trial.spec
        for params in spellings.get((spec.method, canonical_json(spec.params)), ()):
            yield (replace(spec, params=params).trial_id, *trial.done_key[1:])


def all_trials(request: Request, fingerprints: Mapping[str, str] | None = None) -> Iterator[PlannedTrial]:
    """Yield every trial of a request: seeds outermost, so that each task has a first result early.

    Parameters
    ----------
    request : Request
    fingerprints : mapping of task to fingerprint, optional
        Default: as the loaders tell them, which needs prepared data.

    Raises
    ------
    InputError
        If a seed is the number of a split that its task does not have.
    """
    if fingerprints is None:
        for task in request.tasks:
            check_splits(request, task)
        fingerprints = {t.name: get_loader(t.loader).fingerprint(t.options) for t in request.tasks}
    for seed in request.seeds:
        for task in request.tasks:
            yield from _trials(request, task, seed, fingerprints[task.name])


def _trials(request: Request, task: TaskSpec, seed: int, fingerprint: str) -> Iterator[PlannedTrial]:
    """Yield the trials of a task and a seed."""
    suite = request.suite
    protocol = get_protocol(suite.track)
    for method in request.methods:
        spec = TrialSpec(
            suite=suite.name,
            suite_version=suite.version,
            track=suite.track,
            task=task.name,
            loader=task.loader,
            options=dict(task.options),
            method=method.entry.name,
            params=method.params,
            seed=seed,
            budget=_budget(request, task, method),
            device=request.device,
        )
        yield PlannedTrial(
            spec,
            spec.trial_id,
            fingerprint,
            method.entry.source_hash(),
            protocol.PROTOCOL_VERSION,
            method.entry.card.transductive,
            protocol.PRELOAD,
        )


def check_splits(request: Request, task: TaskSpec) -> None:
    """Raise `InputError` if a seed is the number of a split that a prepared task does not have."""
    n_splits = get_loader(task.loader).n_splits(task.options)
    beyond = [seed for seed in request.seeds if n_splits is not None and seed >= n_splits]
    if beyond:
        raise InputError(
            f"task {task.name!r} has {n_splits} splits, numbered from 0; there is none for "
            f"{', '.join(map(str, beyond))} (--folds, or seeds of the suite)"
        )


class Schedule:
    """The trials of a request that no counted attempt covers yet, task by task.

    A task is *waiting* until `ready` or `drop` is called for it. `next` returns the trials of ready
    tasks in the order of `all_trials`: the first seed of a task that has just become ready goes
    before the second seed of the others.

    Parameters
    ----------
    request : Request
    done : collection of DoneKey
        What does not need to run again.
    spellings : mapping, optional
        Under these spellings of its parameters a trial may be done as well.
    """

    def __init__(self, request: Request, done: Collection[DoneKey] = (), spellings: Spellings | None = None) -> None:
        self.request, self._done, self._spellings = request, done, spellings or {}
        self.n_known = 0
        """Trials of ready tasks that are left out because they are done."""
        self.waiting: dict[str, list[PlannedTrial]] = {}
        """By waiting task: the trials that will run whatever its data are, without fingerprints."""
        # by position of the seed, then of the task; each with its trials in reverse
        self._queue: list[tuple[int, int, list[PlannedTrial]]] = []
        with_any_data = {(trial_id, source, protocol) for trial_id, source, _, protocol in done}
        for task in request.tasks:
            trials = [t for seed in request.seeds for t in _trials(request, task, seed, "")]
            self.waiting[task.name] = [
                t
                for t in trials
                if not any((key[0], key[1], key[3]) in with_any_data for key in _done_keys(t, self._spellings))
            ]

    def ready(self, task: TaskSpec, fingerprint: str) -> list[PlannedTrial]:
        """Plan the trials of a task whose data are prepared; return those that will run."""
        del self.waiting[task.name]
        planned: list[PlannedTrial] = []
        for number, seed in enumerate(self.request.seeds):
            trials = list(_trials(self.request, task, seed, fingerprint))
            missing = [t for t in trials if not any(key in self._done for key in _done_keys(t, self._spellings))]
            self.n_known += len(trials) - len(missing)
            planned += missing
            if missing:
                heapq.heappush(self._queue, (number, self.request.tasks.index(task), missing[::-1]))
        return planned

    def drop(self, task: str) -> list[PlannedTrial]:
        """Plan nothing more of a task without data; return the trials that will not run."""
        dropped = self.waiting.pop(task, [])
        kept = []
        for entry in self._queue:
            if self.request.tasks[entry[1]].name == task:
                dropped += entry[2]
            else:
                kept.append(entry)
        heapq.heapify(kept)
        self._queue = kept
        return dropped

    def expected(self) -> list[PlannedTrial]:
        """Return the trials that are still to be handed out, of waiting tasks as far as known."""
        planned = [trial for _, _, trials in self._queue for trial in trials]
        return planned + [trial for trials in self.waiting.values() for trial in trials]

    def has_next(self) -> bool:
        """Return whether there is a trial of a ready task."""
        return bool(self._queue)

    def next(self) -> PlannedTrial | None:
        """Return the next trial of a ready task, None if there is none now."""
        if not self._queue:
            return None
        trials = self._queue[0][2]
        trial = trials.pop()
        if not trials:
            heapq.heappop(self._queue)
        return trial


def _budget(request: Request, task: TaskSpec, method: MethodRequest) -> Budget:
    preset = request.preset
    iterations = preset.iterations
    if iterations is None:
        protocol = get_protocol(request.suite.track)
        iterations = protocol.budget_iterations(
            method.entry.cls, base_preset(request.preset_name), task.name, task.loader, dict(task.options)
        )
    return Budget(
        preset=request.preset_name,
        iterations=iterations,
        threads=preset.threads,
        time_limit_seconds=preset.time_limit_seconds,
        memory_limit_mib=preset.memory_limit_mib,
        grace_seconds=preset.grace_seconds,
        test_units=preset.test_units,
        fit_seconds=preset.fit_seconds,
    )


def check_devices(requests: Iterable[MethodRequest], device: str) -> None:
    """Raise `UnmeetableRequestError` if a method cannot use the device."""
    for method in requests:
        if device not in method.entry.card.devices:
            raise UnmeetableRequestError(
                f"method {method.entry.name!r} runs on {', '.join(method.entry.card.devices)} only, not on {device}"
            )
