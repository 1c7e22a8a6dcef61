"""Draws outlines as small grey images, in plain float64: the same bytes on every machine.

No font renderer takes part, because their output changes between builds. Each step is one IEEE
operation at a time (numpy's element-wise functions; no matrix product and no sine, which other
machines may fuse or round otherwise), and the random numbers are PCG64's raw output, which numpy
never changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchbench.suites._glyph_letters import Outlines

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SIDE", "draw", "random_affine", "uniform"]

SIDE = 28
"""Height and width of a drawing in pixels."""

# samples per pixel, down and across; ink is counted at each
_DOWN, _ACROSS = 4, 4
# chosen so that pixel nearest neighbour reaches about 37 % at 5-way 1-shot on the test scripts
_EM_PIXELS, _LONGEST_PIXELS = 16.0, 20.0
_FONT_UNITS = 2048.0
_HALF_ANGLE = 0.17632698070846498  # tan(10 degrees): rotations reach +-20
_SCALE, _SHEAR, _SHIFT = (0.75, 1.25), 0.3, 0.08 * SIDE


def uniform(seed: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return numbers in [0, 1) that depend on `seed` alone, whatever numpy's version."""
    import numpy as np

    raw = np.random.PCG64(seed).random_raw(int(np.prod(shape)))
    return np.asarray((raw >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(shape)


def random_affine(u: NDArray[np.float64], extents: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn random numbers into maps from font units to pixels.

    Parameters
    ----------
    u : (n_drawings, 5) float64 in [0, 1)
        Rotation (+-20 degrees), scale (0.75 to 1.25), shear (+-0.3), shift right and down (+-8 % of
        the side).
    extents : (n_drawings,) float64
        Longer side of each glyph's box in font units; large glyphs are shrunk so as to fit.

    Returns
    -------
    (n_drawings, 6) float64
        a, b, c, d, e, f of x' = a x + b y + c and y' = d x + e y + f, with y' downwards.
    """
    import numpy as np

    # a rotation from the tangent of half its angle needs no sine
    t = (2.0 * u[:, 0] - 1.0) * _HALF_ANGLE
    cos, sin = (1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t)
    unit = np.minimum(_EM_PIXELS / _FONT_UNITS, _LONGEST_PIXELS / extents)
    scale = unit * (_SCALE[0] + (_SCALE[1] - _SCALE[0]) * u[:, 1])
    shear = (2.0 * u[:, 2] - 1.0) * _SHEAR
    right, down = ((2.0 * u[:, i] - 1.0) * _SHIFT + SIDE / 2 for i in (3, 4))
    across, up = scale * (cos * shear - sin), scale * (sin * shear + cos)
    return np.stack([scale * cos, across, right, -(scale * sin), -up, down], axis=1)


def draw(
    outlines: Outlines, glyphs: NDArray[np.int64], affine: NDArray[np.float64], n_at_once: int = 512
) -> NDArray[np.uint8]:
    """Draw glyphs, filled by the non-zero winding rule.

    Parameters
    ----------
    outlines : Outlines
    glyphs : (n_drawings,) int64
    affine : (n_drawings, 6) float64
        As `random_affine` makes them.
    n_at_once : int
        Bounds the memory (about 150 kB per drawing); does not affect the result.

    Returns
    -------
    (n_drawings, SIDE, SIDE) uint8
        255 is ink, 0 is paper.
    """
    import numpy as np

    parts = [
        _draw_chunk(outlines, glyphs[i : i + n_at_once], affine[i : i + n_at_once])
        for i in range(0, len(glyphs), n_at_once)
    ]
    return np.concatenate(parts) if parts else np.empty((0, SIDE, SIDE), dtype=np.uint8)


def _draw_chunk(outlines: Outlines, glyphs: NDArray[np.int64], affine: NDArray[np.float64]) -> NDArray[np.uint8]:
    import numpy as np

    n_rows, n_columns = SIDE * _DOWN, SIDE * _ACROSS
    counts = outlines.offsets[glyphs + 1] - outlines.offsets[glyphs]
    owner = np.repeat(np.arange(len(glyphs)), counts)
    edges = outlines.edges[_ranges(outlines.offsets[glyphs], counts)]
    a, b, c, d, e, f = np.repeat(affine, counts, axis=0).T
    # in units of samples, shifted so that sample (row, column) stands at whole numbers
    x0, x1 = ((a * edges[:, i] + b * edges[:, i + 1] + c) * _ACROSS - 0.5 for i in (0, 2))
    y0, y1 = ((d * edges[:, i] + e * edges[:, i + 1] + f) * _DOWN - 0.5 for i in (0, 2))

    # an edge crosses the rows from ceil(top) to ceil(bottom) - 1: half-open, so that a shared end
    # is crossed once
    first = np.clip(np.ceil(np.minimum(y0, y1)), 0, n_rows).astype(np.int64)
    beyond = np.clip(np.ceil(np.maximum(y0, y1)), 0, n_rows).astype(np.int64)
    crossed = np.flatnonzero(beyond > first)
    times = (beyond - first)[crossed]
    edge = np.repeat(crossed, times)
    row = _ranges(first[crossed], times)
    slope = (x1 - x0)[crossed] / (y1 - y0)[crossed]
    x = x0[edge] + (row - y0[edge]) * np.repeat(slope, times)

    # winding changes at the first sample to the right of the crossing; the column beyond the last
    # takes the rest
    column = np.clip(np.ceil(x), 0, n_columns).astype(np.int64)
    cell = (owner[edge] * n_rows + row) * (n_columns + 1) + column
    direction = np.where(y1 > y0, 1, -1)[edge]
    change = np.bincount(cell, weights=direction, minlength=len(glyphs) * n_rows * (n_columns + 1)).astype(np.int8)
    winding = np.cumsum(change.reshape(-1, n_columns + 1), axis=1, dtype=np.int8)[:, :-1]
    ink = (winding != 0).reshape(len(glyphs), SIDE, _DOWN, SIDE, _ACROSS).sum(axis=(2, 4), dtype=np.int64)
    images: NDArray[np.uint8] = (ink * 255 // (_DOWN * _ACROSS)).astype(np.uint8)
    return images


def _ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Join `starts[i] ... starts[i] + lengths[i] - 1` for every i."""
    import numpy as np

    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths)
