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
    placed: dict[int, Box] = {}
    reach = max((w for w, _ in sizes), default=0.0)
    crowd = [sum(abs(x - u) < reach and abs(y - v) < reach for u, v in points) for x, y in points]
    for i in sorted(range(len(points)), key=lambda i: (not (first and first[i]), -crowd[i], i)):
        best, least = None, math.inf
        others = [*placed.values(), *obstacles]
        weights = np.repeat([10.0, 3.0], [len(placed), len(obstacles)])
        edges = np.array([[o.left, o.bottom, o.right, o.top] for o in others]).reshape(-1, 4)
        for ring in range(1, n_rings + 1):
            boxes = [_beside(points[i], sizes[i], ring * gap, angle) for angle in _DIRECTIONS]
            costs = _overlaps(boxes, edges) @ weights
            for box, hidden in zip(boxes, costs.tolist(), strict=True):
                cost = hidden + 30 * (box.area - box.overlap(area))
                if cost < least - 1e-9:
                    best, least = box, cost
            if least <= 1e-9:
                break
        placed[i] = best if best is not None else _beside(points[i], sizes[i], gap, 0.0)
    return [placed[i] for i in range(len(points))]


def _overlaps(boxes: Sequence[Box], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the areas that boxes share with rectangles, (n_boxes, n_rectangles).

    Parameters
    ----------
    edges : (n_rectangles, 4) float64
        Left, bottom, right, top.
    """
    own = np.array([[b.left, b.bottom, b.right, b.top] for b in boxes])
    width = np.minimum(own[:, 2:3], edges[:, 2]) - np.maximum(own[:, 0:1], edges[:, 0])
    height = np.minimum(own[:, 3:4], edges[:, 3]) - np.maximum(own[:, 1:2], edges[:, 1])
    areas: NDArray[np.float64] = np.maximum(width, 0.0) * np.maximum(height, 0.0)
    return areas


def _beside(point: tuple[float, float], size: tuple[float, float], distance: float, angle: float) -> Box:
    """Return the box whose nearest edge is `distance` away from the point in that direction."""
    (x, y), (width, height) = point, size
    cos, sin = math.cos(angle), math.sin(angle)
    middle_x = x + cos * (distance + width / 2)
    middle_y = y + sin * (distance + height / 2)
    return Box(middle_x - width / 2, middle_y - height / 2, middle_x + width / 2, middle_y + height / 2)
