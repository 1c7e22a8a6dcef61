"""Specifications of trials: plain, hashable data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchbench.contracts.context import Budget
from benchbench.errors import InputError

__all__ = ["TrialSpec", "canonical_json", "content_hash"]


def canonical_json(value: Any) -> str:
    """Return the one JSON text of `value`: sorted keys, no spaces, no NaN.

    Raises
    ------
    InputError
        If the value is not plain JSON data.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    except (TypeError, ValueError) as error:
        raise InputError(f"not plain JSON data ({error}): {value!r}") from error


def content_hash(value: Any, length: int = 20) -> str:
    """Return the first `length` hex digits of the SHA-256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSpec:
    """One trial as plain data: suite, task, method with parameters, seed, budget and device.

    The task's fingerprint, the adapter's source hash and the protocol version are not part of the
    identity: they belong to an attempt, and decide whether it still counts.
    """

    suite: str
    suite_version: str
    track: str
    task: str
    loader: str
    options: Mapping[str, Any]
    method: str
    params: Mapping[str, Any]
    seed: int
    budget: Budget
    device: str

    @property
    def trial_id(self) -> str:
        """Hash of the trial's canonical JSON."""
        return content_hash(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-able data, without a `fit_seconds` of None: ids stay as they were."""
        plain = asdict(self)
        if plain["budget"]["fit_seconds"] is None:
            del plain["budget"]["fit_seconds"]
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrialSpec:
        """Create a specification from what `to_dict` returned."""
        return cls(**{**data, "budget": Budget(**data["budget"])})
