"""Placement of labels beside points, so that none hides another.

The search is greedy and deterministic, and works in any unit of length.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Box", "place_labels"]

# first beside, above and below the point, then oblique
_DIRECTIONS = tuple(math.radians(a) for a in (0, 180, 90, 270, 45, 135, 315, 225, 20, 160, 340, 200, 70, 110, 250, 290))
_COMPASS = np.array([(math.cos(a), math.sin(a)) for a in _DIRECTIONS])
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: Box) -> float:
        """Return the area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return width * height if width > 0 and height > 0 else 0.0

    @property
    def area(self) -> float:
        """Width times height."""
        return (self.right - self.left) * (self.top - self.bottom)


def place_labels(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    area: Box,
    obstacles: Sequence[Box],
    *,
    first: Sequence[bool] = (),
    gap: float = 5.0,
    n_rings: int = 14,
) -> list[Box]:
    """Return a box for each label, near its point, within `area`.

    Parameters
    ----------
    points : sequence of (x, y)
    sizes : sequence of (width, height)
        Of the labels.
    area : Box
    obstacles : sequence of Box
        What labels must not hide: markers, bars.
    first : sequence of bool
        Which labels choose before the others; none if empty.
    gap : float
        Distance between a point and the edge of its label, and between rings of candidates.
    n_rings : int

    Notes
    -----
    Among equals, points with the most neighbours choose first. A label takes the nearest free
    place. If no place is free, it takes the one that hides least of other labels, and then of
    other things.
    """
    if not points:
        return []
    anchors, extents = np.asarray(points, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    crowd = _crowd(anchors, extents[:, 0].max())
    blocks = _edges(obstacles)
    taken = np.empty((0, 4))
    placed: dict[int, Box] = {}
    for i in sorted(range(len(points)), key=lambda i: (not (first and first[i]), -crowd[i], i)):
        place = _best_place(anchors[i], extents[i], _edges([area]), taken, blocks, gap, n_rings)
        taken = np.vstack([taken, place])
        placed[i] = Box(*place.tolist())
    return [placed[i] for i in range(len(points))]


def _crowd(points: FloatArray, reach: float) -> list[int]:
    """Return the number of points within `reach` of each (N, 2) point, in both directions."""
    return [int((np.abs(points - point) < reach).all(axis=1).sum()) for point in points]


def _best_place(
    point: FloatArray,
    size: FloatArray,
    area: FloatArray,
    taken: FloatArray,
    blocks: FloatArray,
    gap: float,
    n_rings: int,
) -> FloatArray:
    """Return the (4,) edges of the nearest free box, or of the one that hides least.

    One ring of candidates is priced at a time, since most labels find a place in the first.
    """
    best, least = _beside(point, size, gap)[0], math.inf
    for ring in range(1, n_rings + 1):
        boxes = _beside(point, size, ring * gap)
        outside = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) - _overlaps(boxes, area)
        costs = 10 * _overlaps(boxes, taken) + 30 * outside + 3 * _overlaps(boxes, blocks)
        for box, cost in zip(boxes, costs.tolist(), strict=True):
            if cost < least - 1e-9:
                best, least = box, cost
        if least <= 1e-9:
            break
    return np.asarray(best)


def _overlaps(boxes: FloatArray, others: FloatArray) -> FloatArray:
    """Return the area that each of the (N, 4) boxes shares with the (K, 4) others, summed."""
    width = np.minimum(boxes[:, None, 2], others[:, 2]) - np.maximum(boxes[:, None, 0], others[:, 0])
    height = np.minimum(boxes[:, None, 3], others[:, 3]) - np.maximum(boxes[:, None, 1], others[:, 1])
    return np.asarray((width.clip(0) * height.clip(0)).sum(axis=1))


def _edges(boxes: Sequence[Box]) -> FloatArray:
    return np.array([(b.left, b.bottom, b.right, b.top) for b in boxes], dtype=np.float64).reshape(-1, 4)


def _beside(point: FloatArray, size: FloatArray, distance: float) -> FloatArray:
    """Return the boxes, one per direction, whose nearest edge is `distance` from the point."""
    middle = point + _COMPASS * (distance + size / 2)
    return np.concatenate([middle - size / 2, middle + size / 2], axis=1)
