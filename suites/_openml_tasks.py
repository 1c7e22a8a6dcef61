"""Tasks of OpenML by their number, ready to be loaded without a network and without openml-python.

`prepare_task` makes a task ready, once; see `benchbench.suites._openml_files` for where its files
come from, and `benchbench.suites._openml_table` for what is kept. Nothing that is kept is a pickle.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from benchbench.contracts.loading import Progress
from benchbench.spec import content_hash
from benchbench.suites._openml_files import DATASETS, TASKS, Originals, find_or_keep, kept_folders, read_task_xml
from benchbench.suites._openml_table import OpenMLTask, TaskFacts, built_of, data_hash, facts_of, task_of
from benchbench.suites._prepared import Built, find, folder_of, prepare, scratch

__all__ = [
    "OpenMLTask",
    "TaskFacts",
    "fingerprint_task",
    "load_task",
    "mirror_task",
    "prepare_task",
    "task_facts",
    "task_folders",
]

PREPARED = "openml"
VERSION = 1
"""Raised when anything in the reading of tasks changes what is kept."""
LAYOUT = 3
"""Raised when tables are to be prepared again: fingerprints change where values or files do."""


def prepare_task(task_id: int, progress: Progress) -> None:
    """Make a task ready in the cache, under a lock; quick if it is. Reports warnings each time.

    Raises
    ------
    DataMissingError
        If its files are missing and cannot be downloaded, or are damaged; the message says what to
        do.
    InputError
        If the task is of a kind that cannot be used: with dates, neither classification nor
        regression, too large; or if what it says to ignore is no column.
    """
    prepared = prepare(PREPARED, _identity(task_id), lambda: _build(task_id, progress), progress)
    for warning in facts_of(prepared).warnings:
        progress(f"OpenML task {task_id}: warning: {warning}")


def mirror_task(task_id: int, progress: Progress) -> None:
    """Make a task ready, and its original files present and intact.

    Raises as `prepare_task` does.
    """
    _originals(task_id, progress)
    prepare_task(task_id, progress)


def load_task(task_id: int) -> OpenMLTask:
    """Load a task that was made ready.

    Raises
    ------
    DataMissingError
        If it was not, or a file is missing or damaged.
    """
    return task_of(find(PREPARED, _identity(task_id)))


def task_facts(task_id: int) -> TaskFacts:
    """Return the facts of a task that was made ready, from its manifest.

    Raises as `load_task` does.
    """
    return facts_of(find(PREPARED, _identity(task_id)))


def fingerprint_task(task_id: int) -> str:
    """Return a hash of a ready task's values, splits, target and measure.

    Raises as `load_task` does.
    """
    found = find(PREPARED, _identity(task_id))
    facts = facts_of(found)
    asked = {"kind": facts.kind, "target": facts.target, "classes": list(facts.classes), "measure": facts.measure}
    return content_hash({"task": task_id, "version": VERSION, "data": data_hash(found), **asked})


def task_folders(task_id: int) -> list[Path]:
    """Return the folder a task is loaded from (existing or not), then those of its originals.

    Only existing folders of downloaded originals are returned.
    """
    return [folder_of(PREPARED, _identity(task_id)), *kept_folders(task_id)]


def _identity(task_id: int) -> dict[str, Any]:
    return {"task": task_id, "version": VERSION, "layout": LAYOUT}


def _originals(task_id: int, progress: Progress) -> Originals:
    """Return the original files; download what is missing."""
    from benchbench.suites._openml_client import fetch_dataset, fetch_task

    task = find_or_keep(TASKS, task_id, partial(fetch_task, task_id, progress=progress), progress)
    dataset_id = read_task_xml(task.files["task.xml"])
    fetch = partial(fetch_dataset, dataset_id, task_id, progress=progress)
    return Originals(task=task, dataset=find_or_keep(DATASETS, dataset_id, fetch, progress))


def _build(task_id: int, progress: Progress) -> Built:
    from benchbench.suites._openml_client import read

    originals = _originals(task_id, progress)
    progress(f"OpenML task {task_id}: reading data set {originals.dataset.number} (once)")
    with scratch(PREPARED, _identity(task_id)) as folder:
        content = read(originals, folder)
    notes = {"source": originals.source, "originals": originals.hashes()}
    return built_of(content.facts, content.frame, content.target, content.splits, notes)
