"""All use of openml-python: fetching the files of a task, and reading them.

The client is told to keep its cache in a scratch folder, because it deletes folders when a load
fails and writes pickles beside what it reads. Tables are fetched as ARFF: its MD5 is on record,
whereas Parquet comes without a hash and over plain HTTP.

Requests go to the server that the client is configured for (``server`` in its configuration file,
else openml.org).
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from benchbench.contracts.loading import Progress
from benchbench.errors import BenchbenchError, DataMissingError
from benchbench.suites._openml_files import DATASETS, TASKS, Damaged, Originals, hint
from benchbench.suites._openml_reading import (
    Content,
    check_table,
    read_content,
    read_splits,
    read_table,
    refuse_unreadable,
)

if TYPE_CHECKING:
    import requests

__all__ = ["fetch_dataset", "fetch_task", "read"]

T = TypeVar("T")

PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Waited before the second and later attempts, each times a random factor between 0.5 and 1.5."""
TIMEOUT_SECONDS = (30.0, 120.0)
"""To connect, and between two pieces of an answer."""
DATABASE_IS_BUSY = 107
"""OpenML's only error code that may pass."""

# servers that did not answer any attempt: asked once for the next task, else a suite without a
# network would never end
_silent: set[str] = set()


@dataclass(slots=True)
class _Traffic:
    """The last request, the status of its answer (0: none), and whether requests are allowed."""

    url: str
    status: int
    is_allowed: bool


def fetch_task(task_id: int, folder: Path, progress: Progress) -> Mapping[str, Path]:
    """Download the description and the splits of a task into the folder; return the files by name.

    Raises
    ------
    DataMissingError
        If they are not available after several attempts, or are not complete.
    """
    import openml

    def fetch() -> None:
        task = openml.tasks.get_task(task_id, download_splits=True, download_data=False, download_qualities=False)
        read_splits(task, None)

    with _client(folder) as (cache, traffic):
        _persist(fetch, f"OpenML task {task_id}", task_id, cache, traffic, progress)
        return _files(cache / TASKS / str(task_id))


def fetch_dataset(dataset_id: int, task_id: int, folder: Path, progress: Progress) -> Mapping[str, Path]:
    """Download a data set into the folder; return the files by name.

    Raises as `fetch_task` does, and as `read`.
    """
    import openml

    def get(*, with_table: bool) -> Any:
        # all of it each time, since nothing is left after a failure; qualities hold the number of
        # rows
        return openml.datasets.get_dataset(
            dataset_id, download_data=with_table, download_qualities=True, download_features_meta_data=True
        )

    def fetch() -> None:
        dataset = get(with_table=True)
        if not dataset.md5_checksum:
            # else the client has compared it
            files = _files(cache / DATASETS / str(dataset_id))
            check_table(read_table(files), dataset, files, what)

    what = f"data set {dataset_id} of OpenML task {task_id}"
    with _client(folder) as (cache, traffic):
        # before its table is fetched, which may be large
        refuse_unreadable(_persist(partial(get, with_table=False), what, task_id, cache, traffic, progress), task_id)
        _persist(fetch, what, task_id, cache, traffic, progress)
        return _files(cache / DATASETS / str(dataset_id))


def read(originals: Originals, folder: Path) -> Content:
    """Read the files of a task, from copies in the folder; nothing is fetched.

    Raises
    ------
    DataMissingError
        If they are damaged or incomplete.
    InputError
        If the task is of a kind that cannot be read; the message names the column, where it is one.
    """
    import openml

    task_id, dataset_id = originals.task.number, originals.dataset.number
    with _client(folder, is_online=False) as (cache, _):
        try:
            for part in (originals.task, originals.dataset):
                part.copy_to(cache)
            task = openml.tasks.get_task(task_id, download_splits=True, download_qualities=False)
            dataset = openml.datasets.get_dataset(dataset_id, download_qualities=False)
            refuse_unreadable(dataset, task_id)
            return read_content(task, dataset, read_table(originals.dataset.files), originals)
        except BenchbenchError:
            raise
        # if something is wrong with a file, the client raises whatever its parsers happen to raise
        except Exception as error:
            what = str(error) if isinstance(error, Damaged) else f"{type(error).__name__}: {error}"
            raise DataMissingError(
                f"the files of OpenML task {task_id} cannot be read: {what}."
                f" They are in {' and '.join(map(str, originals.folders()))}: put other ones there, or remove the folder to"
                " fetch them again"
            ) from error


def _files(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in folder.iterdir() if path.suffix in (".xml", ".arff")}


def _persist(call: Callable[[], T], what: str, task_id: int, cache: Path, traffic: _Traffic, progress: Progress) -> T:
    """Call until it works, with growing pauses.

    Give up at once where another attempt would get the same answer.
    """
    import openml

    chance = random.SystemRandom()
    server = openml.config.server
    problem = why = ""
    for pause in (0.0, *(() if server in _silent else PAUSES_SECONDS)):
        if problem:
            waited = pause * chance.uniform(0.5, 1.5)
            progress(f"{problem}; trying again in {waited:.0f} s")
            time.sleep(waited)
        progress(f"downloading {what} from {server}")
        try:
            result = call()
            _silent.discard(server)
            return result
        except BenchbenchError:
            raise
        # the client raises errors of many kinds, KeyError for a page of a proxy among them
        except Exception as error:
            answer = f"answered {traffic.status}" if traffic.status else "did not answer"
            problem, why = f"{what}: {traffic.url} {answer}", f"{type(error).__name__}: {str(error)[:300]}"
            # else what was cut off, and is in the client's cache by now, would be taken for the
            # whole
            shutil.rmtree(cache, ignore_errors=True)
            if _is_final(error, traffic.status):
                break
    if not traffic.status:
        _silent.add(server)
    raise DataMissingError(f"cannot download {problem} ({why}). {hint(task_id)}")


def _is_final(error: Exception, status: int) -> bool:
    import openml

    if isinstance(error, openml.exceptions.OpenMLServerException):
        return error.code != DATABASE_IS_BUSY
    return 400 <= status < 500 and status not in (408, 429)


@contextmanager
def _client(folder: Path, *, is_online: bool = True) -> Iterator[tuple[Path, _Traffic]]:
    """Give the client a cache in the folder and a patience of its own.

    Yield its cache and what it asks for.

    These settings hold for the whole process, and are undone at the end.
    """
    import openml
    import requests

    traffic = _Traffic(url="", status=0, is_allowed=is_online)
    config = openml.config
    before = (config.get_config_as_dict()["cachedir"], config.connection_n_retries, config.show_progress)
    skips_parquet = os.environ.get("OPENML_SKIP_PARQUET")
    session, handlers, disabled = requests.Session, logging.root.handlers[:], logging.root.manager.disable
    try:
        config.set_root_cache_directory(folder)
        # attempts are ours: the client's own would not wait for a server that answers 503 with a
        # page
        config.connection_n_retries, config.show_progress = 1, False
        os.environ["OPENML_SKIP_PARQUET"] = "true"
        requests.Session = _session_class(traffic)  # type: ignore[misc]
        logging.disable(logging.WARNING)
        with warnings.catch_warnings():
            # it leaves files open, and announces changes of its own interface
            warnings.simplefilter("ignore")
            yield Path(config.get_cache_directory()), traffic
    finally:
        config.set_root_cache_directory(before[0])
        config.connection_n_retries, config.show_progress = before[1:]
        if skips_parquet is None:
            os.environ.pop("OPENML_SKIP_PARQUET", None)
        else:
            os.environ["OPENML_SKIP_PARQUET"] = skips_parquet
        requests.Session = session  # type: ignore[misc]
        logging.disable(disabled)
        # it logs through the root logger, which sets up a handler
        logging.root.handlers[:] = handlers


def _session_class(traffic: _Traffic) -> type[requests.Session]:
    import requests

    class Session(requests.Session):
        """A session with time limits, of which the client has none."""

        def request(self, method: Any, url: Any, *args: Any, **more: Any) -> requests.Response:
            traffic.url, traffic.status = str(url), 0
            if not traffic.is_allowed:
                raise requests.ConnectionError(f"{url} is needed and not here")
            answer = super().request(method, url, *args, **{"timeout": TIMEOUT_SECONDS, **more})
            traffic.status = answer.status_code
            return answer

    return Session
