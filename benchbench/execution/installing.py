"""Installs pinned requirements into a new environment with uv, from the sources set for pip."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import IO, Any

from benchbench.contracts.loading import Progress
from benchbench.errors import EnvironmentBuildError, InputError

__all__ = [
    "BuildInterrupted",
    "abort",
    "changed_files",
    "check_settings",
    "install",
    "installed",
    "n_aborts",
    "read_pins",
    "settings_file",
    "uv_command",
]

# one exact version, a marker of uv's (which has no options), hashes
PIN = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*)(\[[\w., -]*\])?\s*==\s*(?P<version>[A-Za-z0-9.!+_-]+)"
    r"(\s*;((?!--)[\w\s.<>=!~()'\",+-])+?)?(\s+--hash[= ]\w+:[0-9a-fA-F]+)*",
    re.ASCII,
)
# what would let a method choose where packages come from, which is the user's choice
ELSEWHERE = re.compile(r"^-|://|\s@\s|^[./~]|\.(whl|zip|tar\.\w+|txt)$")
FORBIDDEN_SETTINGS = re.compile(
    r"^(default-index|extra-index-url|find-links|index|index-url|index-strategy|keyring-provider|no-index|sources"
    r"|allow-insecure-host|trusted-host|native-tls|publish-url|python-install-mirror|pypy-install-mirror)$"
)
SECONDS_LIMIT = 3600.0
# seconds between reports of progress while uv prints nothing, as during downloads
HEARTBEAT_SECONDS = 15.0
TAIL_CHARACTERS = 3000
PIP_SECONDS = 60.0

# pip's settings and uv's equivalent options and variables
SOURCES = {
    "index-url": ("--default-index", ("UV_DEFAULT_INDEX", "UV_INDEX_URL")),
    "extra-index-url": ("--index", ("UV_INDEX", "UV_EXTRA_INDEX_URL")),
    "find-links": ("--find-links", ("UV_FIND_LINKS",)),
    "trusted-host": ("--allow-insecure-host", ("UV_INSECURE_HOST",)),
}

_running: set[subprocess.Popen[bytes]] = set()
_aborts = 0


class BuildInterrupted(EnvironmentBuildError):
    """The build was stopped from outside; the next one may succeed."""


def read_pins(file: Path, text: str) -> dict[str, str]:
    """Return the pinned version of each distribution in a requirements file.

    Raises
    ------
    InputError
        If a line is not an exact pin.
    """
    pins = {}
    for number, line in _joined_lines(file, text):
        found = PIN.fullmatch(line)
        if found is None:
            raise InputError(f"{file}, line {number}: {_why_no_pin(line)}")
        pins[_normalised(found["name"])] = found["version"]
    return pins


def _joined_lines(file: Path, text: str) -> Iterator[tuple[int, str]]:
    """Yield what is neither blank nor comment, with continued lines joined."""
    begun = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if "#" in line and line.rstrip().endswith("\\"):
            # installers disagree on where such a comment ends
            raise InputError(f"{file}, line {number}: a comment must not end with a backslash")
        bare = re.sub(r"(^|\s)#.*", "", line).rstrip()
        if bare.endswith("\\"):
            begun += bare[:-1] + " "
            continue
        whole, begun = (begun + bare).strip(), ""
        if whole:
            yield number, whole
    if begun.strip():
        yield len(text.splitlines()), begun.strip()


def _why_no_pin(line: str) -> str:
    if ELSEWHERE.search(line):
        return (
            f"{line!r} names an index, file, address or option, which is refused: packages come from the index that the"
            " user of this machine has set (pip.conf, UV_INDEX_URL); expected name==version"
        )
    return f"expected name==version, got {line!r}; pin everything, as `uv pip compile` does"


def check_settings(file: Path) -> None:
    """Check uv's settings beside a requirements file, if any.

    Raises
    ------
    InputError
        If they cannot be read, or say where packages come from.
    """
    if not file.is_file():
        return
    try:
        settings = tomllib.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: uv's settings cannot be read: {error}") from error
    for name in sorted({*settings, *_table(settings.get("pip"))}):
        if FORBIDDEN_SETTINGS.match(name.replace("_", "-")):
            raise InputError(
                f"{file}: {name!r} is refused: packages come from the index that the user of this machine has set"
            )
    for text in _texts(settings):
        if "://" in text or "@" in text:
            raise InputError(f"{file}: {text!r} names an address, which is refused")


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def settings_file(requirements: Path) -> Path:
    """Return the path of uv's settings for a requirements file (how to build a package, ...)."""
    return requirements.with_suffix(".uv.toml")


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(folder: Path) -> dict[str, str]:
    """Return the version of each distribution in an environment, by normalised name."""
    return {_normalised(found.name): found.version for found in _distributions(folder)}


def changed_files(folder: Path) -> dict[str, list[str]]:
    """Return by distribution the files that are missing or whose size has changed."""
    wrong: dict[str, list[str]] = {}
    for found in _distributions(folder):
        for file in found.files or ():
            path = Path(str(found.locate_file(file)))
            if file.size is None:
                continue
            try:
                size = path.stat().st_size
            except OSError:
                size = -1
            if size != file.size:
                wrong.setdefault(_normalised(found.name), []).append(str(file))
    return wrong


def _distributions(folder: Path) -> list[Distribution]:
    sites = [str(path) for path in folder.glob("lib/python*/site-packages")]
    return sorted(filter(_named, distributions(path=sites)), key=lambda d: _normalised(d.name))


def _named(found: Distribution) -> bool:
    """Return whether a distribution has a name; it has none if its metadata are lost.

    Where the package ``importlib_metadata`` is loaded (by dask before Python 3.12), it replaces the
    standard library's finder and raises an error instead.
    """
    try:
        return bool(found.metadata["Name"])
    except FileNotFoundError:  # its MetadataNotFound
        return False


def uv_command() -> list[str]:
    """Return the command that starts uv.

    Raises
    ------
    EnvironmentBuildError
        If uv is not installed.
    """
    try:
        from uv import find_uv_bin

        return [str(find_uv_bin())]
    except (ImportError, FileNotFoundError) as error:
        raise EnvironmentBuildError(f"uv is not installed in this environment ({error}): pip install uv") from error


def install(name: str, requirements: Path, folder: Path, log: IO[bytes], lock_fd: int, progress: Progress) -> None:
    """Create an environment with exactly these packages, from uv's cache or the network.

    Parameters
    ----------
    name : str
        For messages.
    requirements : Path
    folder : Path
        The environment, which must not exist; its parent folder must be empty.
    log : binary file
        Receives all of uv's output.
    lock_fd : int
        Descriptor of a locked file; uv inherits it, so that the lock is held while uv runs.
    progress : callable

    Raises
    ------
    EnvironmentBuildError
        The message ends with the last lines of uv's output.
    """
    settings = _pip_settings()
    environment = _environment(settings)
    own = settings_file(requirements)
    if own.is_file():
        # uv adds the settings of a file of this name in its folder to the user's, unless the folder
        # is inside a workspace. Making the folder a workspace of its own keeps them for a cache
        # within somebody's project.
        shutil.copyfile(own, folder.parent / "uv.toml")
        (folder.parent / "pyproject.toml").write_text("[tool.uv.workspace]\n")
    folder, requirements = folder.absolute(), requirements.absolute()
    # relocatable: it is built under a temporary name
    make = [*uv_command(), "venv", "--quiet", "--relocatable", "--no-project", "--python", sys.executable, str(folder)]
    # compiled now, not in the first trial's timed phase
    sync = [*uv_command(), "pip", "sync", "--compile-bytecode", "--python", str(folder / "bin" / "python")]
    steps = [*_sources(settings), str(requirements)]
    job = _Job(name, log, lock_fd, environment, progress, folder.parent if own.is_file() else None)
    if job.run(make) != 0:
        raise job.failure("uv cannot create an environment")
    if job.run([*sync, "--offline", *steps]) == 0:
        return
    progress(f"environment {name}: some packages are missing in uv's cache; downloading")
    if job.run([*sync, *steps], tell=True) != 0:
        raise job.failure("uv cannot install its requirements")


class _Job:
    """Commands of one build, with one log."""

    def __init__(
        self,
        name: str,
        log: IO[bytes],
        lock_fd: int,
        environment: dict[str, str],
        progress: Progress,
        runs_in: Path | None,
    ) -> None:
        self.name, self.log, self.lock_fd = name, log, lock_fd
        self.environment, self.progress, self.runs_in = environment, progress, runs_in
        self.said = ""
        self.started = time.monotonic()

    def run(self, command: list[str], tell: bool = False) -> int:
        """Run a command and return its exit code; if asked, forward its output.

        Raises
        ------
        BuildInterrupted
        """
        # if this process is killed, uv must stop writing where the next build starts
        start = "import os, sys; from benchbench.execution import limits; limits.die_with_parent(int(sys.argv[1]))"
        start += "; os.execv(sys.argv[2], sys.argv[2:])"
        self.said = ""
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", start, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.environment,
            cwd=self.runs_in,
            pass_fds=[self.lock_fd],
        )
        _running.add(process)
        reader = threading.Thread(target=self._read, args=(process, tell), daemon=True)
        reader.start()
        try:
            self._wait(process)
        finally:
            process.kill()
            process.wait()
            _running.discard(process)
        reader.join(timeout=5)
        if process.returncode < 0:
            raise BuildInterrupted(f"environment {self.name}: its build was stopped by signal {-process.returncode}")
        return process.returncode

    def _read(self, process: subprocess.Popen[bytes], tell: bool) -> None:
        assert process.stdout is not None
        with process.stdout as stream:
            for line in stream:
                self.log.write(line)
                self.log.flush()
                text = line.decode(errors="replace").rstrip()
                self.said = (self.said + text + "\n")[-TAIL_CHARACTERS:]
                # the list of installed packages is only in the log
                if tell and text and not text.startswith((" +", " -", "Using")):
                    self.progress(f"environment {self.name}: {text.strip()}")

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + SECONDS_LIMIT
        while True:
            try:
                process.wait(timeout=min(HEARTBEAT_SECONDS, max(0.0, until - time.monotonic())))
                return
            except subprocess.TimeoutExpired:
                if time.monotonic() >= until:
                    raise self.failure(f"uv was stopped after {SECONDS_LIMIT:.0f} s") from None
                self.progress(f"environment {self.name}: {time.monotonic() - self.started:.0f} s so far")

    def failure(self, what: str) -> EnvironmentBuildError:
        """Return the error to raise."""
        log = getattr(self.log, "name", "")
        return EnvironmentBuildError(
            f"environment {self.name} cannot be built: {what} (log: {log}); it printed:\n{self.said.strip()}"
        )


def n_aborts() -> int:
    """Return how often `abort` was called: waiting builds give up when it changes."""
    return _aborts


def abort() -> None:
    """Stop every uv that this process has started."""
    global _aborts
    _aborts += 1
    for process in list(_running):
        process.kill()


def _environment(settings: dict[str, list[str]]) -> dict[str, str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "CONDA_PREFIX")}
    environment |= {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
    if settings.get("cert"):
        environment.setdefault("SSL_CERT_FILE", settings["cert"][-1])
    return environment


def _sources(settings: dict[str, list[str]]) -> list[str]:
    """Return uv's options for pip's indexes and folders, where uv has no settings of its own."""
    options: list[str] = []
    for name, (option, variables) in SOURCES.items():
        if any(os.environ.get(variable) for variable in variables):
            continue
        options += [part for value in settings.get(name, ()) for part in (option, value)]
    if options:
        # as pip does: the best version of all indexes, not of the first index with the package
        options += ["--index-strategy", "unsafe-best-match"]
    return options


def _pip_settings() -> dict[str, list[str]]:
    """Return pip's configuration, environment variables included; empty without pip."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=PIP_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    found: dict[str, list[str]] = {}
    # pip lists files before variables; later entries override earlier ones
    ranks = ("global.", "install.", ":env:.")
    rows = [line.partition("=") for line in done.stdout.splitlines() if line.startswith(ranks)]
    for rank in ranks:
        for key, _, value in rows:
            if key.startswith(rank):
                found[key.removeprefix(rank)] = str(ast.literal_eval(value)).split()
    return found
