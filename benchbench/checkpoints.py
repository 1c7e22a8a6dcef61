"""Checkpoints of meta-training: an interrupted training is resumed instead of started again.

A checkpoint is one file, `artefacts/<method>/<key>.unfinished`, beside the artefact that it will
become. Only the trial that holds the artefact's lock reads and writes it. It is removed when
training succeeds or fails and when the trial is stopped at a limit: only a training without an
outcome is resumed (Ctrl-C, a lost worker or host).

Layout: the sha256 of all that follows, a line of JSON, the adapter's bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchbench.errors import InputError

__all__ = ["SUFFIX", "Checkpoint", "CheckpointFile", "Point", "interval_seconds"]

FORMAT = 1
"""Version of the layout."""

SUFFIX = ".unfinished"
INTERVAL_VARIABLE, INTERVAL_SECONDS = "BENCHBENCH_CHECKPOINT_SECONDS", 60.0

Point = tuple[int, float, str, float]
"""(step, seconds, metric, value) of an any-time curve."""


def interval_seconds() -> float:
    """Return the least time between two checkpoints: `BENCHBENCH_CHECKPOINT_SECONDS`, else a
    minute.

    Raises
    ------
    InputError
        If the variable is not a number of seconds, 0 or more.
    """
    given = os.environ.get(INTERVAL_VARIABLE, "")
    try:
        seconds = float(given) if given else INTERVAL_SECONDS
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise InputError(f"{INTERVAL_VARIABLE} is {given!r}, expected seconds, 0 or more")
    return seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The state of an interrupted training.

    Parameters
    ----------
    payload : bytes
        The adapter's own bytes.
    seconds : float
        Wall-clock time of the training so far.
    curve : tuple of Point
        What was reported so far.
    """

    payload: bytes
    seconds: float
    curve: tuple[Point, ...]


class CheckpointFile:
    """The checkpoint of one training.

    Parameters
    ----------
    path : Path
    made_of : mapping
        All that determines what is learnt; for listings.
    """

    def __init__(self, path: Path, made_of: Mapping[str, Any]) -> None:
        self.path, self.made_of = path, made_of

    def read(self) -> Checkpoint | None:
        """Return the checkpoint if it exists and is whole; report a damaged one on stderr."""
        try:
            header, payload = self._parts()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _say(f"{error}; training starts again")
            return None
        return Checkpoint(payload=payload, seconds=header["seconds"], curve=tuple(tuple(p) for p in header["curve"]))

    def header(self) -> dict[str, Any]:
        """Return `made_of`, `seconds`, `curve` and `created_at`.

        Raises
        ------
        OSError, ValueError
            If the file is missing or damaged.
        """
        return self._parts()[0]

    def _parts(self) -> tuple[dict[str, Any], bytes]:
        seal, _, rest = self.path.read_bytes().partition(b"\n")
        if hashlib.sha256(rest).hexdigest().encode() != seal:
            raise ValueError(f"{self.path} is not what was written")
        line, _, payload = rest.partition(b"\n")
        header: dict[str, Any] = json.loads(line)
        if header.get("format") != FORMAT:
            raise ValueError(f"{self.path} is of another version of benchbench")
        return header, payload

    def write(self, checkpoint: Checkpoint) -> None:
        """Replace the earlier checkpoint, durably.

        Raises
        ------
        OSError
            If it cannot be written; the earlier one is kept.
        """
        header = {
            "format": FORMAT,
            "made_of": dict(self.made_of),
            "seconds": checkpoint.seconds,
            "curve": [list(point) for point in checkpoint.curve],
            "created_at": time.time(),
        }
        rest = json.dumps(header, sort_keys=True).encode() + b"\n" + checkpoint.payload
        try:
            with self._temporary.open("wb") as file:
                file.write(hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest)
                file.flush()
                os.fsync(file.fileno())
            self._temporary.replace(self.path)
        except OSError:
            self._remove(self._temporary)
            raise

    @property
    def _temporary(self) -> Path:
        return self.path.with_name(f".tmp-{self.path.name}")

    def remove(self) -> None:
        """Remove the checkpoint, if any, and half-written files of killed processes."""
        for path in (self.path, self._temporary):
            self._remove(path)

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            # not worth failing the trial
            _say(f"{path} cannot be removed: {error}")


def _say(line: str) -> None:
    """Print a line to the trial's log."""
    sys.stderr.write(f"{line}\n")
