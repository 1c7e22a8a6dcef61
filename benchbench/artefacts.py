"""The cache of what methods learnt in meta-training: trials with equal training train once.

Layout under `benchbench.paths.cache_dir()`::

    artefacts/<method>/<key>/state.npz        arrays by name, never pickles
    artefacts/<method>/<key>/manifest.json    seconds and curve, hash of the state, parts of the key
    artefacts/<method>/<key>.lock             locked by the trial that trains
    artefacts/<method>/<key>.unfinished       a checkpoint, see `checkpoints`
    artefacts/<method>/.tmp-<key>-*           being written, or left by a killed trial

The key is a hash of everything that determines the state, so an artefact is never out of date: a
change gives another key. A folder appears under its name complete or not at all.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.checkpoints import SUFFIX, CheckpointFile, Point
from benchbench.errors import ClusterError, DataMissingError, ProtocolViolation
from benchbench.locking import try_lock, unlock, wait_for_lock
from benchbench.paths import cache_dir
from benchbench.spec import content_hash

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchbench.protocols.base import PhaseClock

__all__ = ["Entry", "Point", "Trained", "entries", "has_unfinished", "key_of", "obtain", "pack", "remove", "unpack"]

FORMAT = 1
"""Version of the layout; raised when older folders can no longer be read."""

MANIFEST, STATE = "manifest.json", "state.npz"
FACTS = ("seconds", "created_at", "made_of")


class _Damaged(Exception):
    """A folder exists, but its contents are not what was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The result of a meta-training.

    Parameters
    ----------
    state : mapping of str to array
        What the method learnt.
    seconds : float
        Wall-clock time that it took.
    curve : tuple of Point
        What was reported during training.
    """

    state: Mapping[str, NDArray[Any]]
    seconds: float
    curve: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An artefact in the cache, by its manifest; `problem` says why it is unusable, if it is.

    One that `is_unfinished` is the checkpoint of a training that was interrupted or still runs. Its
    `path` is that file, its `seconds` are the training time so far.
    """

    method: str
    key: str
    path: Path
    n_bytes: int
    seconds: float = 0.0
    created_at: float = 0.0
    made_of: Mapping[str, Any]
    problem: str = ""
    is_unfinished: bool = False


def key_of(made_of: Mapping[str, Any]) -> str:
    """Return the name of the artefact that is determined by `made_of` (plain JSON data)."""
    return content_hash({"format": FORMAT, **made_of})


def obtain(
    method: str, made_of: Mapping[str, Any], train: Callable[[CheckpointFile | None], Trained], clock: PhaseClock
) -> tuple[Trained, bool]:
    """Return the state that `made_of` determines and whether it was cached; train if it was not.

    Parameters
    ----------
    method : str
    made_of : mapping
        All that determines the state.
    train : callable
        Called by one process at a time; others wait for it, under phase "wait" of the clock. If
        that process dies, the next one trains. Receives the file for its checkpoints, or None if
        the cache cannot be written.
    clock : PhaseClock

    Notes
    -----
    The trial that trains reads the state back from the cache, as all others do. If the cache cannot
    be written, the trial trains for itself.

    Raises
    ------
    ProtocolViolation
        If the state holds anything but plain arrays by name.
    """
    folder = _root() / method / key_of(made_of)
    with clock.phase("load"):
        found = _usable(folder)
    if found is not None:
        return found, True
    with _locked(folder, clock) as is_locked:
        with clock.phase("load"):
            found = _usable(folder, report=True)
        if found is not None:
            return found, True
        unfinished = CheckpointFile(_unfinished(folder), made_of) if is_locked else None
        try:
            trained = train(unfinished)
            with clock.phase("save"):
                packed = pack(trained.state)
                if unfinished is not None and _keep(folder, method, made_of, trained, packed):
                    unfinished.remove()
        except (ClusterError, DataMissingError):
            raise  # tried again by itself
        except BaseException:
            # here, while no other process can resume from it
            if unfinished is not None:
                unfinished.remove()
            raise
        return Trained(state=unpack(packed), seconds=trained.seconds, curve=trained.curve), False


def entries() -> Iterator[Entry]:
    """Yield every artefact in the cache, by method and then by age."""
    found = []
    for folder in _root().glob("*/*/"):
        if folder.name.startswith(".") or not folder.is_dir():
            continue
        size = sum(file.stat().st_size for file in folder.iterdir())
        known: dict[str, Any] = {"method": folder.parent.name, "key": folder.name, "path": folder, "n_bytes": size}
        try:
            manifest = _read_manifest(folder)
        except _Damaged as error:
            found.append(Entry(**known, made_of={}, problem=str(error)))
            continue
        facts = {name: manifest[name] for name in FACTS}
        found.append(Entry(**known, **facts))
    finished = {entry.path for entry in found}
    for path in _checkpoints():
        if path.with_suffix("") not in finished:
            found += _unfinished_entry(path)
    yield from sorted(found, key=lambda e: (e.method, e.created_at, e.key))


def has_unfinished(methods: Collection[str], since: float) -> bool:
    """Return whether one of these methods has a checkpoint newer than `since` (as `time.time`)."""
    for path in _checkpoints():
        try:
            if path.parent.name in methods and path.stat().st_mtime >= since:
                return True
        except FileNotFoundError:
            continue  # its training has ended
    return False


def remove(entry: Entry) -> None:
    """Remove an artefact; trials that have read it continue, later ones train again."""
    CheckpointFile(_unfinished(entry.path.with_name(entry.key)), {}).remove()
    if entry.is_unfinished:
        return
    # renamed first: a folder under its own name is complete at all times
    doomed = Path(tempfile.mkdtemp(prefix=f".tmp-{entry.key}-", dir=entry.path.parent))
    entry.path.rename(doomed / "removed")
    shutil.rmtree(doomed)


def _checkpoints() -> Iterator[Path]:
    """Yield the checkpoints of the cache, without half-written files of killed processes."""
    return (path for path in _root().glob(f"*/*{SUFFIX}") if not path.name.startswith("."))


def _unfinished(folder: Path) -> Path:
    """Return the path of an artefact's checkpoint."""
    return folder.with_name(f"{folder.name}{SUFFIX}")


def _unfinished_entry(path: Path) -> list[Entry]:
    """Return the entry of a checkpoint; empty if it is gone because its training ended."""
    try:
        known: dict[str, Any] = {
            "method": path.parent.name,
            "key": path.stem,
            "path": path,
            "n_bytes": path.stat().st_size,
            "is_unfinished": True,
        }
        header = CheckpointFile(path, {}).header()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        return [Entry(**known, made_of={}, problem=str(error))]
    return [Entry(**known, **{name: header[name] for name in FACTS})]


def _root() -> Path:
    return cache_dir() / "artefacts"


def _say(line: str) -> None:
    """Print a line to the trial's log."""
    sys.stderr.write(f"shared training: {line}\n")


@contextmanager
def _locked(folder: Path, clock: PhaseClock) -> Iterator[bool]:
    """Hold the artefact's lock; yield False if the cache cannot be written."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = folder.with_name(f"{folder.name}.lock").open("ab")
    except OSError as error:
        _say(f"{error}; training without it")
        yield False
        return
    with file:
        if not try_lock(file):
            _say(f"waiting for another trial that trains {folder.parent.name} ({folder.name})")
            with clock.phase("wait"):
                wait_for_lock(file)
        try:
            yield True
        finally:
            # the method may have forked
            unlock(file)


def _usable(folder: Path, report: bool = False) -> Trained | None:
    """Return the artefact if it exists and is whole; if asked, report what is wrong with it."""
    if not folder.exists():
        return None
    try:
        manifest = _read_manifest(folder)
        data = (folder / STATE).read_bytes()
        if hashlib.sha256(data).hexdigest() != manifest["state_sha256"]:
            raise _Damaged(f"{folder / STATE} is not what was written")
        state = unpack(data)
    except (_Damaged, OSError) as error:
        if report:
            _say(f"{error}; training again")
        return None
    return Trained(state=state, seconds=manifest["seconds"], curve=tuple(tuple(p) for p in manifest["curve"]))


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _Damaged(f"{path} cannot be read: {error}") from error
    if not isinstance(manifest, dict) or manifest.pop("manifest_sha256", None) != _manifest_hash(manifest):
        raise _Damaged(f"{path} is not what was written")
    return manifest


def _manifest_hash(manifest: Mapping[str, Any]) -> str:
    # not `content_hash`: a curve may hold NaN
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _keep(folder: Path, method: str, made_of: Mapping[str, Any], trained: Trained, packed: bytes) -> bool:
    """Write the artefact durably under its name; the caller holds the lock.

    If it cannot be written (a full disk), log a line and return False.
    """
    manifest = {
        "format": FORMAT,
        "method": method,
        "made_of": dict(made_of),
        "seconds": trained.seconds,
        "curve": [list(point) for point in trained.curve],
        "state_sha256": hashlib.sha256(packed).hexdigest(),
        "created_at": time.time(),
    }
    text = json.dumps({**manifest, "manifest_sha256": _manifest_hash(manifest)}, indent=1, sort_keys=True)
    for stale in folder.parent.glob(f".tmp-{folder.name}-*"):
        shutil.rmtree(stale, ignore_errors=True)
    temporary: Path | None = None
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".tmp-{folder.name}-", dir=folder.parent))
        temporary.chmod(0o755)
        _write(temporary / STATE, packed)
        _write(temporary / MANIFEST, text.encode())
        _sync(temporary)
        if folder.exists():
            folder.rename(temporary / "damaged")
        temporary.rename(folder)
        shutil.rmtree(folder / "damaged", ignore_errors=True)
        _sync(folder.parent)
    except OSError as error:
        _say(f"cannot keep the trained state: {error}")
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        return False
    return True


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def pack(state: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the bytes of an .npz file.

    Raises
    ------
    ProtocolViolation
        If the state holds anything but plain arrays by name.
    """
    import numpy as np

    if not isinstance(state, Mapping):
        raise ProtocolViolation(f"state() must return arrays by name, got {type(state).__name__}")
    buffer = io.BytesIO()
    # `numpy.savez` does not accept every name: "file" is one of its arguments
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in state.items():
            if not isinstance(name, str) or not isinstance(array, np.ndarray) or array.dtype.hasobject:
                kind = f"array of {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
                raise ProtocolViolation(f"state() must return plain arrays by name, got {kind} under {name!r}")
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return buffer.getvalue()


def unpack(data: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays that `pack` was given; no pickle is read."""
    import numpy as np

    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
