"""Packages that benchbench can do without, and the extras of its own package that install them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec

from benchbench.errors import MissingPackageError

__all__ = ["DISTRIBUTIONS", "extras_of", "how_to_install", "remedy", "require"]

DISTRIBUTIONS = {
    "PIL": "pillow",
    "arff": "liac-arff",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Names of distributions where they differ from the module's beyond case, ``-`` and ``_``."""

_REQUIREMENT = re.compile(r"""(?P<name>[A-Za-z0-9._-]+)[^;]*;.*\bextra\s*==\s*["'](?P<extra>[\w-]+)["']""")
_NOT_FOR_USERS = ("all", "dev")


def extras_of(module: str) -> tuple[str, ...]:
    """Return the extras that install a module, in the order of the package's metadata.

    Empty for modules that no extra installs, and where benchbench is imported without being
    installed.
    """
    return _extras().get(_distribution(module.partition(".")[0]), ())


def how_to_install(module: str, prefer: str = "") -> str:
    """Return the command that installs a missing module; empty if no extra does.

    Parameters
    ----------
    module : str
        The name that could not be imported.
    prefer : str
        The extra to name where several install it.
    """
    extras = extras_of(module)
    if not extras:
        return ""
    return f"pip install 'benchbench[{prefer if prefer in extras else extras[0]}]'"


def remedy(error: BaseException) -> str:
    """Return what to do about a module that could not be imported; empty for other errors."""
    command = how_to_install(error.name or "") if isinstance(error, ModuleNotFoundError) else ""
    return f"install with: {command}" if command else ""


def require(modules: Iterable[str], what: str, prefer: str = "") -> None:
    """Refuse to begin what would fail for want of a package.

    Parameters
    ----------
    modules : iterable of str
    what : str
        What needs them, as the subject of a sentence.
    prefer : str
        The extra to name where several install them.

    Raises
    ------
    MissingPackageError
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        names = ", ".join(_distribution(name) for name in missing)
        command = how_to_install(missing[0], prefer) or f"pip install {names.replace(',', '')}"
        raise MissingPackageError(f"{what} needs {names}; install with: {command}")


def _distribution(module: str) -> str:
    return DISTRIBUTIONS.get(module, module).lower().replace("_", "-")


@cache
def _extras() -> dict[str, tuple[str, ...]]:
    try:
        listed = requires("benchbench") or []
    except PackageNotFoundError:
        return {}
    found: dict[str, list[str]] = {}
    for text in listed:
        match = _REQUIREMENT.match(text)
        if match and match["extra"] not in _NOT_FOR_USERS:
            found.setdefault(_distribution(match["name"]), []).append(match["extra"])
    return {name: tuple(extras) for name, extras in found.items()}
