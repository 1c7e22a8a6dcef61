"""Putting a site into its folder: all of it or nothing, and never over what is not a site."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from benchbench.errors import InputError
from benchbench.paths import nearest_above

__all__ = ["MARKER", "check_folder", "write_site"]

MARKER = ".benchbench-site.json"
"""Lists what was written; a folder without it is somebody else's."""


def check_folder(folder: Path) -> None:
    """Raise `InputError` unless the folder is missing, empty, or holds a site and nothing else."""
    if folder.is_symlink():
        raise InputError(f"cannot write a site to {folder}: it is a link; name the folder itself")
    above = nearest_above(folder)
    if not above.is_dir():
        raise InputError(f"cannot write a site to {folder}: {above} is not a folder")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"cannot write a site to {folder}: it is a file; name a folder")
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()}
    if not found and not any(folder.iterdir()):
        return
    known = _written(folder / MARKER)
    if known is None:
        raise InputError(
            f"cannot write a site to {folder}: it is not empty, and `bench site` did not create it ({MARKER} is missing);"
            " name another folder"
        )
    foreign = sorted(found - known - {MARKER})
    if foreign:
        raise InputError(
            f"cannot write a site to {folder}: it holds files that `bench site` did not write: {', '.join(foreign[:5])}"
            f"{', ...' if len(foreign) > 5 else ''}; move them away first"
        )


def _written(marker: Path) -> set[str] | None:
    if marker.is_symlink() or not marker.is_file():
        return None
    try:
        listed = json.loads(marker.read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return {str(name) for name in listed} if isinstance(listed, list) else None


def write_site(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a site beside its folder, then put it in place of the old one.

    Parameters
    ----------
    files : mapping of path within the site to content

    Raises
    ------
    InputError
        If the folder is not to be written to, or a file leads out of it.
    """
    check_folder(folder)
    marker = json.dumps({"made_by": "bench site", "files": sorted(files)}, indent=1) + "\n"
    mine = uuid.uuid4().hex[:12]
    fresh = folder.with_name(f".{folder.name}.{mine}.part")
    old = folder.with_name(f".{folder.name}.{mine}.old")
    try:
        for name, content in {**files, MARKER: marker.encode()}.items():
            path = fresh / name
            if not path.resolve().is_relative_to(fresh.resolve()):
                raise InputError(f"cannot publish {name!r}: it leads out of the folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if folder.exists():
            folder.rename(old)
        try:
            fresh.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
    except OSError as error:
        raise InputError(f"cannot write a site to {folder}: {error.strerror or error}") from error
    finally:
        for rest in (fresh, old):
            if rest.exists():
                shutil.rmtree(rest)
