"""Letters of the DejaVu typefaces in matplotlib: their outlines, and which ones are equal.

A *letter* is a set of code points with equal outlines (Latin A, Greek Alpha and Cyrillic A are
one). Scripts go to splits as Omniglot's alphabets do; a letter that is in scripts of several
splits goes to the first of them in the order train, validation, test, so no outline is in two
splits.

Shape glossary: `n_glyphs` outlines over all faces, `n_edges` straight pieces of all of them.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.errors import DataMissingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "FACES",
    "MIN_FACES",
    "SPLITS",
    "SPLIT_OF_SCRIPT",
    "Letter",
    "Outlines",
    "font_folder",
    "font_hashes",
    "read_letters",
]

SPLITS = ("train", "validation", "test")

SPLIT_OF_SCRIPT: Mapping[str, str] = {
    "Latn": "train",
    "Grek": "train",
    "Cyrl": "train",
    "Zyyy": "train",
    "Geor": "validation",
    "Laoo": "validation",
    "Arab": "test",
    "Armn": "test",
    "Cans": "test",
    "Copt": "test",
    "Hebr": "test",
    "Ital": "test",
    "Lisu": "test",
}
"""Split of each script that `MIN_FACES` faces hold, by ISO 15924 code ("Zyyy": letters of formulas,
of no script).
"""

ALIKE = ((0x0561, 0x026F), (0x05DF, 0x006C), (0x05D5, 0x0131), (0x057A, 0x0270), (0x10309, 0xA781))
"""Letters of scripts in different splits that some face draws alike, though with other points.

Of all pairs across splits, drawn upright, those whose ink overlaps by more than 0.98 (intersection
over union); the next pair has 0.966 and can be distinguished.
"""

MIN_FACES = 4
"""Faces that must hold a code point for it to be a letter here."""

FACES: Mapping[str, str] = {
    "DejaVuSans.ttf": "3fdf69cabf06049ea70a00b5919340e2ce1e6d02b0cc3c4b44fb6801bd1e0d22",
    "DejaVuSans-Bold.ttf": "b184b89e3c1075f22f6b71575b6fc20d4972b3cfd3b23322ca6fd596dcaef167",
    "DejaVuSans-Oblique.ttf": "ccdf74b350f11fd3dd5774de50e5e6346a1a5da1f5b7d5fb83590665e97a5213",
    "DejaVuSans-BoldOblique.ttf": "6edf0283160186af451cbee71e7b845f2e4cabf264bb992ce668c83c25465e6f",
    "DejaVuSansMono.ttf": "602ec86b8948cfcd956482fe64f94c36c867770149ef2f791d4613f443bcecb3",
    "DejaVuSansMono-Bold.ttf": "baada9a5172fe20886251aff0433fc38461912d5daf07287e7bee56620a8da96",
    "DejaVuSansMono-Oblique.ttf": "28052813f7a709fc89f52d192dc995ef4f0fdc5c3d7b73a49d6849b1916d0cd0",
    "DejaVuSansMono-BoldOblique.ttf": "a69081c15c76c827e0a27a5a7f5c74b6135c843499955495ffa8c20d3a98288b",
    "DejaVuSerif.ttf": "107244956e9962b9e96faccdc551825e0ae0898ae13737133e1b921a2fd35ffa",
    "DejaVuSerif-Bold.ttf": "c3753f2ed6bc673f15846dc45addbeb3b9c872f32fb18fd53a21f1bef1ed7676",
    "DejaVuSerif-Italic.ttf": "3e7994fbc54fa10ce3352a42d548fadd7d9cadb69cb1109bc9d960f6dac57f04",
    "DejaVuSerif-BoldItalic.ttf": "d93efec7a9d2e826768d1a2ee95b95870e15e29599a84f3484af1de1cec2e181",
}
"""The faces, in the order that drawings number them, with the SHA-256 of the files that the
drawings were made from.
"""


@dataclass(frozen=True, slots=True)
class Outlines:
    """Every glyph of every face, cut into straight edges.

    Parameters
    ----------
    edges : (n_edges, 4) float64
        x0, y0, x1, y1 in font units (2,048 to the em), y upwards, the middle of the glyph's box at
        the origin.
    offsets : (n_glyphs + 1,) int64
        Edges of glyph g are `edges[offsets[g]:offsets[g + 1]]`.
    extents : (n_glyphs,) float64
        The longer side of the glyph's box, in font units.
    """

    edges: NDArray[np.float64]
    offsets: NDArray[np.int64]
    extents: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Letter:
    """One class of drawings.

    Parameters
    ----------
    code_points : tuple of int
        All that look like this, in order; the first is its name.
    scripts : tuple of str
        ISO 15924 codes of their scripts.
    split : str
    glyphs : tuple of int
        The first code point's outline in each face that has it: indices into `Outlines`.
    """

    code_points: tuple[int, ...]
    scripts: tuple[str, ...]
    split: str
    glyphs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Glyph:
    """A glyph as in the font file: points, which are on the curve, each contour's last point."""

    points: NDArray[np.int64]
    is_on: NDArray[np.bool_]
    ends: NDArray[np.int64]

    def key(self) -> bytes:
        """The key of glyphs whose outlines have equal points up to a shift, in any order."""
        import numpy as np

        rows = np.column_stack([self.points - self.points.min(axis=0), self.is_on])
        return hashlib.sha256(rows[np.lexsort(rows.T)].tobytes()).digest()


def font_folder() -> Path:
    """Folder of the fonts that the installed matplotlib ships."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def font_hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each face in `folder`.

    Raises
    ------
    DataMissingError
        If a face is missing.
    """
    found = {}
    for name in FACES:
        path = folder / name
        if not path.is_file():
            raise DataMissingError(
                f"the typeface {name} is not in {folder}, where matplotlib keeps its fonts; install matplotlib from"
                " PyPI again (some distributions take its fonts out)"
            )
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def read_letters(folder: Path) -> tuple[list[Letter], Outlines]:
    """Read the faces in `folder`; letters come ordered by split, then script, then code point."""
    by_code: dict[int, dict[int, int]] = defaultdict(dict)
    glyphs: list[_Glyph] = []
    for face, name in enumerate(FACES):
        known: dict[str, int] = {}
        for code, (glyph_name, glyph) in _face_glyphs(folder / name).items():
            if glyph_name not in known:
                known[glyph_name] = len(glyphs)
                glyphs.append(glyph)
            by_code[code][face] = known[glyph_name]
    by_code = {code: faces for code, faces in by_code.items() if len(faces) >= MIN_FACES}
    letters = [_letter(codes, by_code) for codes in _same_outlines(by_code, [g.key() for g in glyphs])]
    letters.sort(key=lambda letter: (SPLITS.index(letter.split), letter.scripts, letter.code_points))
    return letters, _outlines(glyphs)


def _face_glyphs(path: Path) -> dict[int, tuple[str, _Glyph]]:
    """Glyphs of the letters (Unicode Lu, Ll, Lo) of a face that have ink, by code point."""
    import unicodedata

    import numpy as np
    from fontTools.ttLib import TTFont

    found: dict[int, tuple[str, _Glyph]] = {}
    made: dict[str, _Glyph | None] = {}
    with TTFont(path, lazy=True) as font:
        table = font["glyf"]
        for code, name in sorted(font.getBestCmap().items()):
            if unicodedata.category(chr(code)) not in ("Lu", "Ll", "Lo"):
                continue
            if name not in made:
                points, ends, flags = table[name].getCoordinates(table)
                # bit 0 of a TrueType flag: the point is on the curve
                is_on = np.array(flags, dtype=np.uint8) & 1 == 1
                made[name] = (
                    # a list, because numpy turns an interrupt within the coordinates' own iteration
                    # into a TypeError
                    _Glyph(np.array(list(points), dtype=np.int64), is_on, np.array(ends, dtype=np.int64))
                    if len(ends)
                    else None
                )
            glyph = made[name]
            if glyph is not None:
                found[code] = (name, glyph)
    return found


def _same_outlines(by_code: Mapping[int, Mapping[int, int]], keys: Sequence[bytes]) -> list[list[int]]:
    """Group the code points that look alike, including `ALIKE`, ordered by each group's first."""
    parent = {code: code for code in by_code}

    def root(code: int) -> int:
        while parent[code] != code:
            parent[code] = parent[parent[code]]
            code = parent[code]
        return code

    def join(one: int, other: int) -> None:
        low, high = sorted((root(one), root(other)))
        parent[high] = low

    owner: dict[bytes, int] = {}
    for code in sorted(by_code):
        for glyph in by_code[code].values():
            join(code, owner.setdefault(keys[glyph], code))
    for one, other in ALIKE:
        join(one, other)
    groups: dict[int, list[int]] = defaultdict(list)
    for code in sorted(by_code):
        groups[root(code)].append(code)
    return list(groups.values())


def _letter(codes: Sequence[int], by_code: Mapping[int, Mapping[int, int]]) -> Letter:
    """Make one letter of code points that look alike.

    Only the first of them is drawn: others may look alike in one face alone, as italic Cyrillic pe
    and Latin n do.
    """
    from fontTools import unicodedata

    scripts = tuple(dict.fromkeys(str(unicodedata.script(chr(code))) for code in codes))
    split = min((SPLIT_OF_SCRIPT[script] for script in scripts), key=SPLITS.index)
    return Letter(tuple(codes), scripts, split, tuple(by_code[codes[0]].values()))


def _outlines(glyphs: Sequence[_Glyph]) -> Outlines:
    """Cut all outlines into straight edges at once: a quadratic curve into four.

    Every coordinate is a sixteenth of a font unit at the finest, so float64 holds it exactly.
    """
    import numpy as np

    points = np.concatenate([g.points for g in glyphs]).astype(np.float64)
    is_on = np.concatenate([g.is_on for g in glyphs])
    sizes = np.array([len(g.points) for g in glyphs])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    last = np.concatenate([g.ends + start for g, start in zip(glyphs, starts[:-1], strict=True)])
    first = np.concatenate([[0], last[:-1] + 1])
    following = np.arange(1, len(points) + 1)
    following[last] = first
    preceding = np.empty_like(following)
    preceding[following] = np.arange(len(points))

    low, high = np.minimum.reduceat(points, starts[:-1]), np.maximum.reduceat(points, starts[:-1])
    points -= np.repeat((low + high) / 2, sizes, axis=0)
    owner = np.repeat(np.arange(len(glyphs)), sizes)

    # between two points off the curve TrueType implies one on it, half way
    straight = np.flatnonzero(is_on & is_on[following])
    curved = np.flatnonzero(~is_on)
    before, after = preceding[curved], following[curved]
    control = points[curved]
    begin = np.where(is_on[before, None], points[before], (points[before] + control) / 2)
    end = np.where(is_on[after, None], points[after], (points[after] + control) / 2)
    cuts = [begin, *(_at(begin, control, end, t) for t in (0.25, 0.5, 0.75)), end]
    pieces = [np.hstack([points[straight], points[following[straight]]])]
    pieces += [np.hstack([a, b]) for a, b in itertools.pairwise(cuts)]
    owners = np.concatenate([owner[straight], *[owner[curved]] * 4])
    order = np.argsort(owners, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(glyphs)))])
    return Outlines(np.concatenate(pieces)[order], offsets.astype(np.int64), (high - low).max(axis=1))


def _at(begin: Any, control: Any, end: Any, t: float) -> Any:
    """Points of quadratic Bezier curves at `t`."""
    return (1 - t) * (1 - t) * begin + 2 * t * (1 - t) * control + t * t * end
