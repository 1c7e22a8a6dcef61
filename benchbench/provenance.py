"""The provenance of a result: hardware, code state, versions."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import benchbench
from benchbench.spec import content_hash

__all__ = [
    "code_hash",
    "environment_hash",
    "git_state",
    "gpu_names",
    "hardware",
    "hardware_class",
    "package_versions",
    "remember_versions",
    "user_name",
]

# top-level modules whose distribution has another name
DISTRIBUTIONS = {
    "sklearn": "scikit-learn",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "dateutil": "python-dateutil",
    "cv2": "opencv-python",
}

LONGEST_VERSION = 200

_versions: dict[str, str] = {}


@functools.lru_cache(maxsize=1)
def git_state() -> tuple[str, bool | None]:
    """Return the commit of this checkout and whether it has uncommitted changes.

    For an installed wheel: ("", None).
    """
    folder = Path(benchbench.__file__).resolve().parent.parent
    if not (folder / ".git").exists() or shutil.which("git") is None:
        return "", None
    commit = _run(["git", "-C", str(folder), "rev-parse", "HEAD"])
    if not commit:
        return "", None
    return commit, bool(_run(["git", "-C", str(folder), "status", "--porcelain"]))


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


@functools.lru_cache(maxsize=1)
def gpu_names() -> tuple[str, ...]:
    """Return the names of the CUDA devices, by the driver, without torch or CUDA."""
    if shutil.which("nvidia-smi") is None:
        return ()
    listed = _run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"])
    return tuple(line.strip() for line in listed.splitlines() if line.strip())


@functools.lru_cache(maxsize=1)
def hardware() -> dict[str, Any]:
    """Return this machine's processor, memory, GPUs and the cores that this process may use."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "gpus": list(gpu_names()),
        "host": socket.gethostname(),
        "kernel": os.uname().release,
    }


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    except OSError:
        return os.uname().machine
    return os.uname().machine


def hardware_class() -> str:
    """Return the class of hardware within which seconds are comparable: processor, cores, GPU."""
    facts = hardware()
    parts = [facts["cpu"], f"{facts['cores']} cores"]
    if facts["gpus"]:
        parts.append(f"{len(facts['gpus'])} x {facts['gpus'][0]}")
    return ", ".join(parts)


def code_hash(*names: str) -> str:
    """Return the hash of the sources of modules and packages, as their files are now.

    Sub-packages are not included.
    """
    digest = hashlib.sha256()
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"no source of {name}")
        folders = spec.submodule_search_locations or ()
        files = [file for folder in folders for file in Path(folder).glob("*.py")]
        for file in sorted(files) or [Path(spec.origin)]:
            digest.update(f"{name}/{file.name}\x00".encode() + file.read_bytes() + b"\x00")
    return digest.hexdigest()[:16]


def package_versions() -> dict[str, str]:
    """Return the versions of imported third-party packages, by distribution name.

    Each is looked up once per process and inherited by forks, so the zygote calls this before its
    first trial.
    """
    for name in {str(module).partition(".")[0] for module in list(sys.modules)}:
        if name not in _versions and not name.startswith("_") and name not in sys.stdlib_module_names:
            _versions[name] = _version(name)
    found = {DISTRIBUTIONS.get(name, name): version for name, version in sorted(_versions.items()) if version}
    found["python"] = ".".join(str(part) for part in sys.version_info[:3])
    return found


def remember_versions(more: Mapping[str, str]) -> None:
    """Add the versions of another interpreter that this trial uses to `package_versions`."""
    _versions.update(more)


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(DISTRIBUTIONS.get(name, name))
    except (PackageNotFoundError, ValueError):
        # what a method put among the modules may be anything
        found = vars(sys.modules[name]).get("__version__") if isinstance(sys.modules.get(name), ModuleType) else None
        return str.__str__(found)[:LONGEST_VERSION] if isinstance(found, str) else ""


def environment_hash(versions: dict[str, str]) -> str:
    """Return the hash of the versions of what a trial imported; "" if they are unknown."""
    return content_hash(versions, 16) if versions else ""


def user_name() -> str:
    """Return the user's name, for the record of a run."""
    return os.environ.get("USER") or os.environ.get("LOGNAME") or str(os.getuid())
