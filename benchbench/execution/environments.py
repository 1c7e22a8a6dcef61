"""Environments of methods with conflicting dependencies.

uv builds them from pinned requirements into the cache.

Layout under `benchbench.paths.cache_dir()`::

    environments/<name>/<key>/                    <name> is that of the requirements file
    environments/<name>/<key>/environment.json    written last: without it the folder is ignored
    environments/<name>/<key>.lock                locked by the process that builds, and by uv
    environments/<name>/<key>.log                 uv's last output
    environments/<name>/<key>.failed.json         if the last build failed: why, and when
    environments/<name>/.tmp-<key>-*              being built, or left by a killed process

The key is a hash of the requirements' text, of uv's settings beside it (if any), of the Python
version, the platform and the version of this layout.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from benchbench.contracts.loading import Progress
from benchbench.errors import EnvironmentBuildError, InputError
from benchbench.execution import installing
from benchbench.locking import unlock, wait_for_lock
from benchbench.paths import cache_dir
from benchbench.registry import MethodEntry
from benchbench.spec import content_hash

__all__ = [
    "Environment",
    "Wanted",
    "abort",
    "build",
    "differences",
    "ensure",
    "entries",
    "find",
    "last_failure",
    "remove",
    "wanted",
]

FORMAT = 1
"""Version of the layout; raised when older environments can no longer be used."""

MANIFEST = "environment.json"

# seconds for which a failed build is not tried again: every fold would repeat it
FAILURE_SECONDS = 600.0
WAITING_LINE_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The environment that a requirements file needs on this host.

    Parameters
    ----------
    name : str
        Name of the file, without its suffix.
    file : Path
    pins : mapping of str to str
        Version of each distribution, by its normalised name.
    folder : Path
        Its folder, existing or not.
    """

    name: str
    file: Path
    pins: Mapping[str, str]
    folder: Path

    @property
    def key(self) -> str:
        """Hash of what determines the environment."""
        return self.folder.name

    def beside(self, ending: str) -> Path:
        """Return the file with that suffix beside the environment's folder."""
        return self.folder.with_name(self.folder.name + ending)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """An environment in the cache.

    Parameters
    ----------
    name, key, folder
        As in `Wanted`.
    versions : mapping of str to str
        Installed versions by normalised name; empty if the manifest cannot be read.
    python_version : str
    seconds : float
        Duration of the build.
    created_at : float
    n_bytes : int
    problem : str
        Why it is unusable; empty if it is usable.
    """

    name: str
    key: str
    folder: Path
    versions: Mapping[str, str]
    python_version: str = ""
    seconds: float = 0.0
    created_at: float = 0.0
    n_bytes: int = 0
    problem: str = ""

    @property
    def python(self) -> Path:
        """Path of the interpreter."""
        return self.folder / "bin" / "python"


def wanted(entry: MethodEntry) -> Wanted:
    """Return the environment that a method's card requires.

    Raises
    ------
    InputError
        If it requires none, its file is missing or has anything but exact pins, or uv's settings
        beside it say where packages come from.
    """
    if not entry.card.requirements:
        raise InputError(f"method {entry.name!r} has no own environment: its card names no requirements")
    file = entry.path.parent / entry.card.requirements
    try:
        text = file.read_text()
    except OSError as error:
        raise InputError(
            f"the requirements of method {entry.name!r} cannot be read: {error}; its card names"
            f" {entry.card.requirements!r}, expected beside {entry.path}"
        ) from error
    made_of: dict[str, Any] = {
        "format": FORMAT,
        "requirements": hashlib.sha256(text.encode()).hexdigest(),
        "python": [platform.python_implementation(), platform.python_version()],
        "platform": [sysconfig.get_platform(), *platform.libc_ver()],
    }
    settings = installing.settings_file(file)
    installing.check_settings(settings)
    if settings.is_file():
        made_of["settings"] = hashlib.sha256(settings.read_bytes()).hexdigest()
    name = file.stem
    return Wanted(
        name=name, file=file, pins=installing.read_pins(file, text), folder=_root() / name / content_hash(made_of)
    )


def find(needed: Wanted) -> Environment | None:
    """Return the environment if it was built and its interpreter still exists."""
    found = _read(needed.folder) if needed.folder.is_dir() else None
    return None if found is None or found.problem else found


def ensure(entry: MethodEntry, progress: Progress) -> Environment:
    """Return the method's environment; build it if it is missing.

    Other processes that need it wait meanwhile.

    Raises
    ------
    EnvironmentBuildError
        If it cannot be built, or a build failed recently; the message ends with uv's output.
    """
    needed = wanted(entry)
    found = find(needed)
    return found if found is not None else build(needed, progress, retry=False)


def build(needed: Wanted, progress: Progress, *, retry: bool = True, again: bool = False) -> Environment:
    """Build the environment, or wait for another process that builds it.

    Parameters
    ----------
    needed : Wanted
    progress : callable
    retry : bool
        Whether to try even if a build failed recently.
    again : bool
        Whether to build it even if it exists.

    Raises
    ------
    EnvironmentBuildError
    """
    with _locked(needed, progress) as lock:
        found = None if again else find(needed)
        if found is not None:
            return found
        if not retry:
            _raise_recent_failure(needed)
        return _make(needed, lock, progress)


def last_failure(needed: Wanted) -> str:
    """Return why the last build failed; "" if it did not."""
    return _failure(needed)[1]


def differences(needed: Wanted, found: Environment) -> list[str]:
    """Return how an environment differs from its pins: versions, missing or changed files."""
    there = installing.installed(found.folder)
    problems = []
    for name, pin in needed.pins.items():
        version = there.get(name, "")
        # a pin without a local part ("+cpu") accepts any
        if version != pin and version.partition("+")[0] != pin:
            problems.append(f"{name} {version or 'is missing'}, pinned {pin}")
    problems += [f"{name} {there[name]} is not pinned" for name in sorted(there.keys() - needed.pins.keys())]
    for name, files in installing.changed_files(found.folder).items():
        problems.append(f"{name}: {len(files)} files are missing or have another size, {files[0]} for one")
    return problems


def abort() -> None:
    """Stop the builds of this process, from another thread; they raise `EnvironmentBuildError`."""
    installing.abort()


def entries() -> Iterator[Environment]:
    """Yield the environments in the cache by name, including damaged and unfinished ones."""
    for folder in sorted(_root().glob("*/*")):
        if folder.is_dir() and not folder.name.startswith(".tmp-"):
            yield _read(folder)


def remove(environment: Environment) -> None:
    """Remove an environment; the next trial that needs it builds it again."""
    # renamed first: a folder under its own name is always complete
    doomed = Path(tempfile.mkdtemp(prefix=f".tmp-{environment.key}-", dir=environment.folder.parent))
    environment.folder.rename(doomed / "removed")
    shutil.rmtree(doomed)
    for ending in (".log", ".failed.json"):
        environment.folder.with_name(environment.key + ending).unlink(missing_ok=True)


def _root() -> Path:
    return cache_dir() / "environments"


def _read(folder: Path) -> Environment:
    known: dict[str, Any] = {"name": folder.parent.name, "key": folder.name, "folder": folder}
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        facts = {n: manifest[n] for n in ("versions", "python_version", "seconds", "created_at", "n_bytes")}
        found = Environment(**known, **facts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Environment(**known, versions={}, problem=f"{MANIFEST} cannot be read: {type(error).__name__}: {error}")
    if not os.access(found.python, os.X_OK):
        return Environment(**known, **facts, problem=f"its interpreter is gone: {found.python}")
    return found


@contextmanager
def _locked(needed: Wanted, progress: Progress) -> Iterator[IO[bytes]]:
    try:
        needed.folder.parent.mkdir(parents=True, exist_ok=True)
        file = needed.beside(".lock").open("ab")
    except OSError as error:
        raise EnvironmentBuildError(
            f"environment {needed.name} cannot be written to the cache: {error};"
            " set BENCHBENCH_CACHE to a writable folder"
        ) from error
    said, aborts = -WAITING_LINE_SECONDS, installing.n_aborts()

    def watch() -> None:
        nonlocal said
        if installing.n_aborts() != aborts:
            raise installing.BuildInterrupted(f"environment {needed.name}: the wait for its build was stopped")
        if time.monotonic() - said > WAITING_LINE_SECONDS:
            progress(f"environment {needed.name}: waiting for another process to build it")
            said = time.monotonic()

    with file as lock:
        wait_for_lock(lock, watch)
        try:
            yield lock
        finally:
            # uv may have inherited it
            unlock(lock)


def _raise_recent_failure(needed: Wanted) -> None:
    at, message = _failure(needed)
    ago = time.time() - at
    if message and 0 <= ago < FAILURE_SECONDS:
        raise EnvironmentBuildError(f"{message}\n[failed {ago:.0f} s ago; to try again now: bench env build]")


def _failure(needed: Wanted) -> tuple[float, str]:
    try:
        failed = json.loads(needed.beside(".failed.json").read_bytes())
        return float(failed["at"]), str(failed["message"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0, ""


def _make(needed: Wanted, lock: IO[bytes], progress: Progress) -> Environment:
    """Build under a temporary name, then rename; the caller holds the lock."""
    failed = needed.beside(".failed.json")
    for stale in needed.folder.parent.glob(f".tmp-{needed.key}-*"):
        shutil.rmtree(stale, ignore_errors=True)
    progress(f"environment {needed.name}: building with {len(needed.pins)} packages from {needed.file.name}")
    started = time.monotonic()
    temporary: Path | None = None
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".tmp-{needed.key}-", dir=needed.folder.parent))
        made = temporary / "environment"
        with needed.beside(".log").open("wb") as log:
            installing.install(needed.name, needed.file, made, log, lock.fileno(), progress)
        seconds = time.monotonic() - started
        _write_manifest(needed, made, seconds)
        if needed.folder.exists():
            needed.folder.rename(temporary / "replaced")
        made.rename(needed.folder)
        failed.unlink(missing_ok=True)
    except installing.BuildInterrupted:
        raise
    except EnvironmentBuildError as error:
        # a full disk may be the reason of the failure
        with suppress(OSError):
            failed.write_text(json.dumps({"at": time.time(), "message": str(error)}))
        raise
    except OSError as error:
        raise EnvironmentBuildError(
            f"environment {needed.name} cannot be written to {needed.folder}: {error}"
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    found = _read(needed.folder)
    progress(f"environment {needed.name}: ready after {seconds:.1f} s, {found.n_bytes / 2**20:.0f} MiB")
    return found


def _write_manifest(needed: Wanted, folder: Path, seconds: float) -> None:
    manifest = {
        "format": FORMAT,
        "requirements": needed.file.name,
        "versions": installing.installed(folder),
        "python_version": platform.python_version(),
        "built_with": sys.executable,
        "seconds": seconds,
        "created_at": time.time(),
        "n_bytes": sum(f.lstat().st_size for f in folder.rglob("*") if not f.is_dir()),
    }
    with (folder / MANIFEST).open("w") as file:
        json.dump(manifest, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
