"""Finds images that stand twice in a data set, by their content.

A query that is also in its support, or a test image that was trained on, raises scores by nothing
that was learnt.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.errors import InputError

if TYPE_CHECKING:
    from benchbench.suites._image_loader import Images

__all__ = ["ACCEPTED", "refuse_duplicates"]

ACCEPTED = "duplicates.txt"
"""File beside the images: names of copies that are part of the published data set, one per line."""
MOST_SHOWN = 50


def refuse_duplicates(parts: Mapping[str, Images], folder: Path, title: str) -> int:
    """Return how many images are copies and accepted as such.

    Parameters
    ----------
    parts : mapping of str to Images
    folder : Path
        The user's, which may hold `ACCEPTED`.
    title : str
        What the error calls the data set.

    Raises
    ------
    InputError
        If images are equal pixel for pixel, in whatever parts and under whatever names, and are not
        accepted; the message names them.
    """
    names: dict[bytes, list[str]] = defaultdict(list)
    for found in parts.values():
        flat = found.images.reshape(-1, *found.images.shape[2:])
        for image, name in zip(flat, found.sources, strict=True):
            names[hashlib.blake2b(image.data, digest_size=16).digest()].append(name)
    equal = [same for same in names.values() if len(same) > 1]
    accepted = _accepted(folder / ACCEPTED)
    refused = [same for same in equal if not accepted.issuperset(same)]
    if refused:
        shown = "".join(f"\n  {' = '.join(same)}" for same in refused[:MOST_SHOWN])
        more = f"\n  and {len(refused) - MOST_SHOWN} more" if len(refused) > MOST_SHOWN else ""
        raise InputError(
            f"{title}: {len(refused)} images are there more than once, so a query could stand in its own support, or in"
            f" the training data:{shown}{more}\nReplace the copies. Where they are part of the data set as it was"
            f" published, list their names in {folder / ACCEPTED}, one per line"
        )
    return sum(len(same) - 1 for same in equal)


def _accepted(path: Path) -> set[str]:
    try:
        return {line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()} if path.is_file() else set()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
