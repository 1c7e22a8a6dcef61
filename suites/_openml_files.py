"""OpenML's own files of a task: where they are found, and how downloaded ones are kept.

Looked for in ``data_dir()/openml/org/openml/www`` (a cache of openml-python, never written to),
then among the originals in our cache, which are kept with their hashes by
`benchbench.suites._prepared`. The two parts of a task are looked for separately, since several
tasks may be set on one data set::

    tasks/<task id>/        task.xml, datasplits.arff
    datasets/<data set id>/ description.xml, features.xml, qualities.xml (optional), dataset.arff or
                            dataset_<id>.pq
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from benchbench.contracts.loading import Progress
from benchbench.errors import DataMissingError
from benchbench.paths import cache_dir, data_dir
from benchbench.suites._download import file_sha256
from benchbench.suites._prepared import Built, find, folder_of, prepare, scratch

__all__ = [
    "DATASETS",
    "TABLE",
    "TASKS",
    "Damaged",
    "Originals",
    "Part",
    "find_or_keep",
    "hint",
    "kept_folders",
    "read_task_xml",
    "xml_records",
    "xml_texts",
]

# names of the two parts, in the client's cache too
TASKS = "tasks"
DATASETS = "datasets"

TABLE = "dataset.arff"
KEPT = "openml-originals"
FILES: Mapping[str, tuple[str, ...]] = {
    TASKS: ("task.xml", "datasplits.arff"),
    DATASETS: ("description.xml", "features.xml"),
}


class Damaged(Exception):
    """The files of a task cannot be read, or contradict each other or OpenML's record of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Files of a task, or of a data set.

    Parameters
    ----------
    part : str
        `TASKS` or `DATASETS`.
    number : int
        OpenML's id.
    files : mapping of str to Path
        By the name that the client knows.
    is_users : bool
        Found in the user's data folder, rather than downloaded.
    """

    part: str
    number: int
    files: Mapping[str, Path]
    is_users: bool

    def copy_to(self, client_cache: Path) -> None:
        """Copy the files to where the client looks for them, but for a table: it reads none.

        Nothing else, since it would unpickle what it finds.
        """
        folder = client_cache / self.part / str(self.number)
        folder.mkdir(parents=True)
        for name, path in self.files.items():
            if name != TABLE and path.suffix != ".pq":
                shutil.copyfile(path, folder / name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Originals:
    """All files of a task."""

    task: Part
    dataset: Part

    @property
    def has_official_splits(self) -> bool:
        """Tell whether the splits are OpenML's own; the folder's `tasks.csv` may deny it."""
        return not self.task.is_users or _has_official_splits(self.task.number)

    @property
    def source(self) -> str:
        """Where the data came from, in words."""
        users = [part.is_users for part in (self.task, self.dataset)]
        return "data folder" if all(users) else "data folder and openml.org" if any(users) else "openml.org"

    def folders(self) -> list[Path]:
        """Where the files are."""
        parts = (self.task, self.dataset)
        return list(dict.fromkeys(path.parent for part in parts for path in part.files.values()))

    def hashes(self) -> dict[str, str]:
        """SHA-256 of every file."""
        parts = (self.task, self.dataset)
        return {f"{p.part}/{p.number}/{name}": file_sha256(path) for p in parts for name, path in p.files.items()}


def find_or_keep(part: str, number: int, download: Callable[[Path], Mapping[str, Path]], progress: Progress) -> Part:
    """Return the files of a part; download them, under a lock, if they are missing or damaged.

    Parameters
    ----------
    part : str
        `TASKS` or `DATASETS`.
    number : int
        OpenML's id.
    download : callable
        Puts files into the folder that it is given, and returns them by name.
    progress : callable
    """
    users = _users_files(part, number)
    if users is not None:
        return Part(part=part, number=number, files=users, is_users=True)

    identity = _identity(part, number)
    # the scratch folder exists until the files have been copied, and only if they have to be
    # fetched
    with ExitStack() as stack:

        def build() -> Built:
            fetched = download(stack.enter_context(scratch(KEPT, identity)))
            files = {name: partial(shutil.copyfile, path) for name, path in fetched.items()}
            return Built(arrays={}, files=files, notes={"source": "openml.org"})

        kept = prepare(KEPT, identity, build, progress)
    return Part(part=part, number=number, files={n: kept.file(n) for n in kept.manifest["files"]}, is_users=False)


def kept_folders(task_id: int) -> list[Path]:
    """Return the existing folders of a task's downloaded originals."""
    folder = folder_of(KEPT, _identity(TASKS, task_id))
    users = _users_files(TASKS, task_id)
    try:
        task_xml = users["task.xml"] if users else find(KEPT, _identity(TASKS, task_id)).file("task.xml")
        dataset = folder_of(KEPT, _identity(DATASETS, read_task_xml(task_xml)))
    except DataMissingError:
        # missing or damaged: its data set is unknown
        dataset = folder
    return [place for place in dict.fromkeys((folder, dataset)) if place.exists()]


def hint(task_id: int) -> str:
    """Say what a user can do if a task is not available."""
    return (
        "What is here already stays; the same command goes on later. Without a network, run `bench data fetch --suite SUITE`"
        f" where there is one and copy its $BENCHBENCH_CACHE to {cache_dir()}, or put a cache of openml-python into"
        f" {data_dir() / 'openml'} (org/openml/www/tasks/{task_id}, ...; see docs/data.md)"
    )


def read_task_xml(path: Path) -> int:
    """Return the id of the data set that a task is set on.

    Raises
    ------
    DataMissingError
        If the file does not say.
    """
    found = xml_texts(path, "data_set_id")
    if len(found) != 1 or not found[0].isdecimal():
        raise DataMissingError(f"{path} names no data set: {found}; remove its folder to fetch it again")
    return int(found[0])


def xml_texts(path: Path, tag: str) -> list[str]:
    """Return the texts of all elements of that name in one of OpenML's files."""
    return [element.text or "" for element in _elements(path, tag)]


def xml_records(path: Path, tag: str) -> list[dict[str, str]]:
    """Return the texts of the children of each element of that name; the last of equal names."""
    return [{child.tag.partition("}")[2]: child.text or "" for child in element} for element in _elements(path, tag)]


def _elements(path: Path, tag: str) -> Iterator[ElementTree.Element]:
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise DataMissingError(f"{path} cannot be read: {error}; remove its folder to fetch it again") from error
    return root.iter(f"{{http://openml.org/openml}}{tag}")


def _identity(part: str, number: int) -> dict[str, Any]:
    return {"part": part, "id": number}


def _users_root() -> Path:
    return data_dir() / "openml"


def _users_files(part: str, number: int) -> dict[str, Path] | None:
    """Return the files in the user's folder, None unless all needed ones exist."""
    folder = _users_root() / "org" / "openml" / "www" / part / str(number)
    found = {name: folder / name for name in FILES[part]}
    if part == DATASETS:
        tables = {TABLE: TABLE, f"dataset_{number}.pq": f"dataset_{number}.pq"}
        # older clients called it so
        tables["dataset.pq"] = f"dataset_{number}.pq"
        table = next((name for name in tables if (folder / name).is_file()), None)
        if table is None:
            return None
        found[tables[table]] = folder / table
        if (folder / "qualities.xml").is_file():
            found["qualities.xml"] = folder / "qualities.xml"
    return found if all(path.is_file() for path in found.values()) else None


def _has_official_splits(task_id: int) -> bool:
    path = _users_root() / "tasks.csv"
    if not path.is_file():
        return True
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("task_id") == str(task_id)]
    return not rows or rows[0].get("splits") == "OpenML's own"
