"""Glyphs: letters of a dozen scripts as a few-shot task that needs no download.

A class is a letter: 20 drawings of it, each in a random face (DejaVu Sans, Sans Mono and Serif,
upright and slanted, regular and bold, from the fonts inside matplotlib) under a random small affine
map. As with Omniglot's alphabets, whole scripts are kept for meta-validation and meta-test; letters
with equal outlines are one class.

The drawings depend on the font files alone (see `_glyph_drawing`), and their hash is below.
Where it is not met, say with another release of the fonts, drawings are made all the same, but
under a fingerprint of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.contracts.fewshot import FewShotTask, TaskInfo
from benchbench.contracts.loading import Progress, TaskLoader
from benchbench.errors import DataMissingError
from benchbench.spec import content_hash
from benchbench.suites._glyph_drawing import SIDE, draw, random_affine, uniform
from benchbench.suites._glyph_letters import FACES, SPLITS, Letter, Outlines, font_folder, font_hashes, read_letters
from benchbench.suites._options import check_range, read_options
from benchbench.suites._pools import ImagePool
from benchbench.suites._prepared import Built, Prepared, array_hash, find, folder_of, prepare

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["GlyphsLoader"]

N_CLASSES: Mapping[str, int] = {"train": 1500, "validation": 158, "test": 788}
N_DRAWINGS = 20
VERSION = 1
"""Raised when anything changes what is drawn."""
EXPECTED = "7b953a01f9b4f652e311"
"""Content hash of the drawings of this version from the fonts in `FACES`."""
FONTS_WANTED = "the DejaVu 2.35 fonts, as matplotlib 3.9.0, 3.10.0 and 3.11.2 all carry them"


@dataclass(frozen=True, slots=True, kw_only=True)
class GlyphsOptions:
    """Options of the loader; `query` is per class at test, `seed` fixes the test episodes."""

    way: int
    shot: int
    query: int = 15
    seed: int = 0


class _OtherDrawings(Exception):
    """The drawings are not the expected ones; the error carries them."""

    def __init__(self, built: Built) -> None:
        super().__init__("not the expected drawings")
        self.built = built


class GlyphsLoader(TaskLoader):
    """Letters of one set of scripts to learn from, of others to be tested on."""

    name = "glyphs"
    track = "fewshot"

    def check(self, options: Mapping[str, Any]) -> None:
        """See the base class."""
        found = read_options(GlyphsOptions, options, self.name)
        most = N_DRAWINGS - found.shot
        check_range(self.name, "way", found.way, 2, min(N_CLASSES.values()), "classes of the smallest split")
        check_range(self.name, "shot", found.shot, 1, N_DRAWINGS - 1, f"{N_DRAWINGS} drawings a class")
        check_range(self.name, "query", found.query, 1, most, f"{N_DRAWINGS} drawings a class less {found.shot} shots")

    def info(self, name: str, options: Mapping[str, Any]) -> TaskInfo:
        """See the base class."""
        self.check(options)
        found = read_options(GlyphsOptions, options, self.name)
        return TaskInfo(
            name=name,
            kind="classification",
            n_way=found.way,
            k_shot=found.shot,
            n_query=found.way * found.query,
            input_shape=(1, SIDE, SIDE),
        )

    def prepare(self, options: Mapping[str, Any], progress: Progress) -> None:
        """See the base class; drawing takes about ten seconds, once."""
        self.check(options)
        other = None if _is_there(_EXPECTED_ONES) else _other_ones()
        if other is not None and _is_there(other):
            built = prepare(self.name, other, lambda: _build(progress), progress)
            _warn(built.content, progress)
            return
        try:
            prepare(self.name, _EXPECTED_ONES, lambda: _build_expected(progress), progress)
        except _OtherDrawings as error:
            found = error.built
            _warn(prepare(self.name, _other_ones(), lambda: found, progress).content, progress)

    def fingerprint(self, options: Mapping[str, Any]) -> str:
        """See the base class."""
        self.check(options)
        found = read_options(GlyphsOptions, options, self.name)
        return content_hash({"loader": self.name, "data": _find().content, "options": asdict(found)})

    def training_fingerprint(self, options: Mapping[str, Any]) -> str:
        """See the base class."""
        self.check(options)
        return content_hash({"loader": self.name, "training": _find().content_of("train", "validation")})

    def load(self, name: str, options: Mapping[str, Any]) -> FewShotTask:
        """See the base class."""
        data = _find()
        train, validation, test = (ImagePool(data.array(split)) for split in SPLITS)
        return FewShotTask(
            info=self.info(name, options),
            train=train,
            validation=validation,
            test=test,
            metric="accuracy",
            seed=read_options(GlyphsOptions, options, self.name).seed,
        )

    def folders(self, options: Mapping[str, Any]) -> Sequence[Path]:
        """See the base class."""
        expected = folder_of(self.name, _EXPECTED_ONES)
        other = None if expected.exists() else folder_of(self.name, _other_ones())
        return [other if other is not None and other.exists() else expected]


_EXPECTED_ONES: Mapping[str, Any] = {"version": VERSION, "content": EXPECTED}


def _other_ones() -> dict[str, Any]:
    """Identity of unexpected drawings: everything that may have made them differ."""
    import unicodedata

    import fontTools

    made_with = {"fonttools": fontTools.version, "unicode": unicodedata.unidata_version}
    return {**_EXPECTED_ONES, "content": "other", "fonts": font_hashes(font_folder()), **made_with}


def _is_there(identity: Mapping[str, Any]) -> bool:
    try:
        find(GlyphsLoader.name, identity)
    except DataMissingError:
        return False
    return True


def _find() -> Prepared:
    """Return the expected drawings, or else those that this machine's fonts give."""
    try:
        return find(GlyphsLoader.name, _EXPECTED_ONES)
    except DataMissingError:
        other = _other_ones()
        if _is_there(other):
            return find(GlyphsLoader.name, other)
        raise


def _warn(content: str, progress: Progress) -> None:
    hashes = font_hashes(font_folder())
    changed = [name for name, expected in FACES.items() if hashes[name] != expected]
    why = f"the fonts {', '.join(changed)} differ" if changed else "fontTools or Python read the same fonts otherwise"
    progress(
        f"glyphs: the drawings made here ({content[:12]}) are not the expected ones ({EXPECTED[:12]}): {why}."
        f" Results cannot be compared with others'; expected were {FONTS_WANTED}"
    )


def _build_expected(progress: Progress) -> Built:
    built = _build(progress)
    if content_hash({name: array_hash(array) for name, array in built.arrays.items()}) != EXPECTED:
        raise _OtherDrawings(built)
    return built


def _build(progress: Progress) -> Built:
    folder = font_folder()
    hashes = font_hashes(folder)
    progress("glyphs: reading the letters of the DejaVu fonts (once; with drawing them about 10 s)")
    letters, outlines = read_letters(folder)
    arrays, notes = {}, {}
    for split in SPLITS:
        chosen = [letter for letter in letters if letter.split == split]
        progress(f"glyphs: drawing {len(chosen)} letters x {N_DRAWINGS} for {split}")
        arrays[split] = draw_letters(chosen, outlines)
        notes[split] = [{"code_points": list(x.code_points), "scripts": list(x.scripts)} for x in chosen]
    return Built(arrays=arrays, notes={"classes": notes, "fonts": hashes})


def draw_letters(letters: list[Letter], outlines: Outlines) -> NDArray[np.uint8]:
    """Draw each letter `N_DRAWINGS` times: (n_letters, n_drawings, side, side) uint8, 255 is ink.

    Random numbers depend on a letter's first code point alone, so that no letter's drawings change
    with the others.
    """
    import numpy as np

    u = np.stack([uniform(letter.code_points[0], (N_DRAWINGS, 6)) for letter in letters])
    n_faces = np.array([len(letter.glyphs) for letter in letters])
    faces = (u[:, :, 0] * n_faces[:, None]).astype(np.int64)
    glyphs = np.concatenate([np.array(x.glyphs)[chosen] for x, chosen in zip(letters, faces, strict=True)])
    affine = random_affine(u[:, :, 1:].reshape(-1, 5), outlines.extents[glyphs])
    images = draw(outlines, glyphs, affine)
    return images.reshape(len(letters), N_DRAWINGS, SIDE, SIDE)
