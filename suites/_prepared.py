"""Prepared data: arrays and files made once from a source, kept in the cache.

Arrays are memory-mapped by every trial.

Layout under `benchbench.paths.cache_dir()`::

    <data set>/<key>/<array>.npy     the arrays
    <data set>/<key>/<file>          files of other kinds
    <data set>/<key>/manifest.json   their shapes and hashes, options and library versions
    <data set>/<key>.lock            locked by the process that makes them
    <data set>/.tmp-<key>-*          unfinished, or of a killed process; the next one removes it

A folder appears under its name complete or not at all, so a process that is killed leaves nothing
that could be taken for data.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.contracts.loading import Progress
from benchbench.errors import DataMissingError, InputError
from benchbench.locking import try_lock, wait_for_lock
from benchbench.paths import cache_dir
from benchbench.spec import content_hash
from benchbench.suites._download import file_sha256

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "FORMAT",
    "Built",
    "Prepared",
    "array_hash",
    "find",
    "folder_of",
    "prepare",
    "problem_of",
    "read_folder",
    "scratch",
]

FORMAT = 1
"""Version of the layout; raised when older folders can no longer be read."""

MANIFEST = "manifest.json"

# arrays whose content this process has checked already: (file, size, time of change) -> nothing to
# be done again
_checked: set[tuple[str, int, int]] = set()


class _Damaged(Exception):
    """A folder exists but is not what its manifest says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a builder returns.

    Parameters
    ----------
    arrays : mapping of str to array
    files : mapping of str to callable
        What writes each file, given its path; called after the builder has returned.
    notes : mapping
        Plain JSON data for the manifest ("classes", "fonts", ...); no part of the content hash.
    """

    arrays: Mapping[str, NDArray[Any]]
    files: Mapping[str, Callable[[Path], object]] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A folder of prepared arrays.

    Parameters
    ----------
    folder : Path
    manifest : mapping
        As read from `manifest.json`.
    """

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def content(self) -> str:
        """Hash of the content of all arrays and files: equal bytes give equal hashes."""
        entries = {**self.manifest["arrays"], **self._files}
        return content_hash({name: entry["sha256"] for name, entry in entries.items()})

    def content_of(self, *names: str) -> str:
        """Hash of the content of some of the arrays."""
        return content_hash({name: self.manifest["arrays"][name]["sha256"] for name in names})

    @property
    def notes(self) -> Mapping[str, Any]:
        """The builder's notes."""
        notes: Mapping[str, Any] = self.manifest["notes"]
        return notes

    @property
    def n_bytes(self) -> int:
        """Size of all arrays and files by the manifest."""
        return sum(entry["file_bytes"] for part in (self.manifest["arrays"], self._files) for entry in part.values())

    @property
    def _files(self) -> Mapping[str, Any]:
        # manifests without files have no such key
        files: Mapping[str, Any] = self.manifest.get("files", {})
        return files

    def file(self, name: str) -> Path:
        """Return the path of a file.

        Raises
        ------
        DataMissingError
            If it is missing or has another size than the manifest says.
        """
        try:
            self._check_size(self.folder / name, self._files[name])
        except _Damaged as error:
            raise DataMissingError(f"{error}; prepare the data again (bench run does so by itself)") from error
        return self.folder / name

    def array(self, name: str) -> NDArray[Any]:
        """Return an array, memory-mapped read-only.

        Raises
        ------
        DataMissingError
            If the file is missing or has another size than the manifest says.
        """
        try:
            return self._open(name)
        except _Damaged as error:
            raise DataMissingError(f"{error}; prepare the data again (bench run does so by itself)") from error

    def _open(self, name: str) -> NDArray[Any]:
        import numpy as np

        entry, path = self.manifest["arrays"][name], self.folder / f"{name}.npy"
        self._check_size(path, entry)
        try:
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise _Damaged(f"{path} cannot be read: {error}") from error
        if list(array.shape) != entry["shape"] or array.dtype.str != entry["dtype"]:
            raise _Damaged(
                f"{path} holds {array.dtype.str}{list(array.shape)}, expected {entry['dtype']}{entry['shape']}"
            )
        return array

    @staticmethod
    def _check_size(path: Path, entry: Mapping[str, Any]) -> None:
        try:
            size = path.stat().st_size
        except OSError as error:
            raise _Damaged(f"{path} cannot be read: {error}") from error
        if size != entry["file_bytes"]:
            raise _Damaged(f"{path} has {size} bytes, expected {entry['file_bytes']}")

    def verify(self, *, again: bool = False) -> None:
        """Compare the content of every array and file with the manifest; raises if they differ.

        Parameters
        ----------
        again : bool
            Also what this process has checked already, and what has not changed since by its time
            and size.
        """
        for name, entry in self.manifest["arrays"].items():
            array = self._open(name)
            self._compare(self.folder / f"{name}.npy", entry, partial(array_hash, array), again)
        for name, entry in self._files.items():
            path = self.folder / name
            self._check_size(path, entry)
            self._compare(path, entry, partial(file_sha256, path), again)

    @staticmethod
    def _compare(path: Path, entry: Mapping[str, Any], hash_now: Callable[[], str], again: bool) -> None:
        stat = path.stat()
        seen = (str(path), stat.st_size, stat.st_mtime_ns)
        if seen in _checked and not again:
            return
        try:
            found = hash_now()
        except OSError as error:
            raise _Damaged(f"{path} cannot be read: {error}") from error
        if found != entry["sha256"]:
            raise _Damaged(f"{path} has content {found[:12]}..., expected {entry['sha256'][:12]}...")
        _checked.add(seen)


def array_hash(array: NDArray[Any]) -> str:
    """Return the SHA-256 of an array's type, shape and values."""
    import numpy as np

    digest = hashlib.sha256(f"{array.dtype.str}{list(array.shape)}".encode())
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def prepare(dataset: str, options: Mapping[str, Any], build: Callable[[], Built], progress: Progress) -> Prepared:
    """Return the prepared arrays; build them if they are missing or damaged.

    Parameters
    ----------
    dataset : str
        Name of a folder in the cache.
    options : mapping
        All that the arrays depend on, as plain JSON data; with `dataset` it is their identity.
    build : callable
        Makes the arrays; called under a lock, so by one process at a time. It should report what
        takes long.
    progress : callable

    Raises
    ------
    InputError
        If the cache cannot be written.
    DataMissingError
        As `build` raises it.
    """
    folder = folder_of(dataset, options)
    # a cache that is complete may be read-only
    prepared = _intact(folder, dataset, None)
    if prepared is not None:
        return prepared
    lock = folder.with_name(f"{folder.name}.lock")
    with _explained():
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("ab")
    with file:
        # closing the file gives it back
        if not try_lock(file):
            progress(f"waiting for another process that prepares {dataset}")
            wait_for_lock(file)
        return _intact(folder, dataset, progress) or _make(folder, dataset, options, build)


def find(dataset: str, options: Mapping[str, Any]) -> Prepared:
    """Return prepared arrays by their manifest alone; nothing else is read.

    Raises
    ------
    DataMissingError
        If they were not prepared, or the manifest is damaged.
    """
    folder = folder_of(dataset, options)
    if not folder.exists():
        raise DataMissingError(
            f"data set {dataset!r} ({dict(options)}) is not prepared under {cache_dir()}; bench run prepares it"
        )
    return read_folder(folder)


def read_folder(folder: Path) -> Prepared:
    """Return prepared data by the folder they are in; raises as `find` does."""
    try:
        prepared = _read(folder)
    except _Damaged as error:
        raise DataMissingError(f"{error}; prepare the data again (bench run does so by itself)") from error
    if prepared is None:
        raise DataMissingError(f"{folder} is not there; bench run prepares it")
    return prepared


def problem_of(folder: Path) -> str:
    """Hash all that a folder holds; return what is wrong with it, "" if nothing is."""
    try:
        prepared = _read(folder)
        if prepared is None:
            return f"{folder} is not there"
        prepared.verify(again=True)
    except _Damaged as error:
        return str(error)
    return ""


@contextmanager
def scratch(dataset: str, options: Mapping[str, Any]) -> Iterator[Path]:
    """Make a temporary folder for a builder, beside the prepared one.

    It is removed at the end.

    If the process is killed, the next one that builds removes it.
    """
    folder = folder_of(dataset, options)
    with _explained():
        temporary = Path(tempfile.mkdtemp(prefix=f".tmp-{folder.name}-", dir=folder.parent))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def folder_of(dataset: str, options: Mapping[str, Any]) -> Path:
    """Return the folder of the prepared data, which may not exist."""
    return cache_dir() / dataset / content_hash({"options": dict(options), "format": FORMAT}, 16)


def _read(folder: Path) -> Prepared | None:
    """Return the folder by its manifest, None if there is no folder."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        if folder.exists():
            raise _Damaged(f"{path} is missing") from None
        return None
    except (OSError, ValueError) as error:
        raise _Damaged(f"{path} cannot be read: {error}") from error
    if not isinstance(manifest, dict) or manifest.pop("manifest_hash", None) != content_hash(manifest):
        raise _Damaged(f"{path} is not what was written")
    return Prepared(folder, manifest)


def _intact(folder: Path, dataset: str, progress: Progress | None) -> Prepared | None:
    """Return the folder if it exists and is intact; say why it is not."""
    try:
        prepared = _read(folder)
        if prepared is not None:
            prepared.verify()
        return prepared
    except _Damaged as error:
        if progress is not None:
            progress(f"{dataset}: {error}; making it again")
        return None


def _make(folder: Path, dataset: str, options: Mapping[str, Any], build: Callable[[], Built]) -> Prepared:
    """Build into a temporary folder and give it its name; the lock is held."""
    for stale in folder.parent.glob(f".tmp-{folder.name}-*"):
        shutil.rmtree(stale, ignore_errors=True)
    built = build()
    with _explained():
        temporary = Path(tempfile.mkdtemp(prefix=f".tmp-{folder.name}-", dir=folder.parent))
        try:
            _fill(temporary, dataset, options, built)
            if folder.exists():
                # readers that have mapped the damaged one keep it until they close it
                folder.rename(temporary / "damaged")
            temporary.rename(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        shutil.rmtree(folder / "damaged", ignore_errors=True)
        _sync(folder.parent)
    return find(dataset, options)


def _fill(folder: Path, dataset: str, options: Mapping[str, Any], built: Built) -> None:
    """Write arrays and manifest, durably."""
    manifest = {
        "format": FORMAT,
        "dataset": dataset,
        "options": dict(options),
        "arrays": {name: _write(folder / f"{name}.npy", array) for name, array in built.arrays.items()},
        "notes": dict(built.notes),
        "versions": _versions(),
    }
    if built.files:
        manifest["files"] = {name: _write_file(folder / name, write) for name, write in built.files.items()}
    signed = {**manifest, "manifest_hash": content_hash(manifest)}
    with (folder / MANIFEST).open("wb") as file:
        file.write(json.dumps(signed, indent=1, sort_keys=True).encode())
        file.flush()
        os.fsync(file.fileno())
    folder.chmod(0o755)
    _sync(folder)


def _write(path: Path, array: NDArray[Any]) -> dict[str, Any]:
    import numpy as np

    with path.open("wb") as file:
        np.save(file, np.ascontiguousarray(array), allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    return {
        "shape": list(array.shape),
        "dtype": array.dtype.str,
        "sha256": array_hash(array),
        "file_bytes": path.stat().st_size,
    }


def _write_file(path: Path, write: Callable[[Path], object]) -> dict[str, Any]:
    write(path)
    _sync(path)
    return {"sha256": file_sha256(path), "file_bytes": path.stat().st_size}


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in (
        "benchbench",
        "fonttools",
        "liac-arff",
        "matplotlib",
        "numpy",
        "openml",
        "pandas",
        "pillow",
        "pyarrow",
    ):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


@contextmanager
def _explained() -> Iterator[None]:
    """Turn the failure to write the cache into an error that says what to do."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot keep prepared data under {cache_dir()}: {error};"
            " free it, or set BENCHBENCH_CACHE to a folder that can be written"
        ) from error
