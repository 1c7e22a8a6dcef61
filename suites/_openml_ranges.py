"""Values of a table that most methods cannot compute with, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["count_out_of_range", "range_warnings"]

MOST_SHOWN = 10


def count_out_of_range(frame: pd.DataFrame) -> dict[str, int]:
    """Count values that are infinite, or would be as float32; columns without any are left out."""
    counts = {name: _count(column) for name, column in frame.items() if column.dtype.kind in "if"}
    return {name: count for name, count in counts.items() if count}


def range_warnings(features: Mapping[str, int], target: Mapping[str, int]) -> tuple[str, ...]:
    """Return a sentence for the features and one for the target, where there is something to say.

    Parameters
    ----------
    features, target : mapping of str to int
        As `count_out_of_range` returns them.
    """
    what = "values that are infinite or too large for float32 (beyond 3.4e38)"
    found = []
    if features:
        shown = ", ".join(f"{name!r} {count:,}" for name, count in list(features.items())[:MOST_SHOWN])
        more = f", and {len(features) - MOST_SHOWN} more columns" if len(features) > MOST_SHOWN else ""
        found.append(
            f"{sum(features.values()):,} {what}: {shown}{more}; methods that come with benchbench take them for missing, others may fail"
        )
    for name, count in target.items():
        found.append(f"target {name!r} has {count:,} {what}")
    return tuple(found)


def _count(column: pd.Series[Any]) -> int:
    import numpy as np

    with np.errstate(over="ignore"):
        return int(np.isinf(column.to_numpy().astype(np.float32)).sum())
