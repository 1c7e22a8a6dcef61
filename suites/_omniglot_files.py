"""Omniglot's original files: where they are found or fetched, how they are checked and decoded.

Looked for in `data_dir()/omniglot`, then in the cache:
``images_background.npz`` and ``images_evaluation.npz`` (`images` (n_characters, 20, 105, 105) bool,
False is ink), else the original archives ``images_background.zip`` and ``images_evaluation.zip``,
else these unpacked, as folders ``images_background`` and ``images_evaluation``,
else the archives are downloaded. All may stand where torchvision (``omniglot-py``) or a copy of the
repository (``python``) has them. The lists of Vinyals' split are in ``splits_vinyals``.

Characters are numbered as in the names of the original files:
``Alphabet_of_the_Magi/character01/0709_01.png`` is the first drawing of character 709. That is
*not* the order of the alphabets' names.

The SHA-256 of the archives are those that TensorFlow Datasets records; those of the decoded arrays
were computed from the arrays in the layout above.

References
----------
Lake, Salakhutdinov & Tenenbaum 2015, Science 350, 1332;
https://github.com/brendenlake/omniglot (MIT).
Vinyals et al. 2016, arXiv:1606.04080; the split as published by Snell et al.,
github.com/jakesnell/prototypical-networks.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchbench.contracts.loading import Progress
from benchbench.errors import DataMissingError
from benchbench.paths import data_dir
from benchbench.suites._download import download_folder, file_sha256, find_original, original_places, retrieve
from benchbench.suites._prepared import array_hash

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["PARTS", "SPLIT_LISTS", "Part", "character_names", "drawings_hash", "read_characters", "read_split"]

PLACES = ("omniglot", "omniglot/omniglot-py", "omniglot/python")
"""Folders of the originals: ours, torchvision's, the repository's."""
N_DRAWINGS = 20
SIZE = 105


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One half of Omniglot.

    Parameters
    ----------
    name : str
        Also the name of its files, without their ending.
    url, sha256 : str
        Of the original archive.
    content : str
        `drawings_hash` of the decoded images.
    alphabets : mapping of str to int
        Characters of each alphabet, in the order of the files' numbers.
    """

    name: str
    url: str
    sha256: str
    content: str
    alphabets: Mapping[str, int]


_ARCHIVES = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python"
_LISTS = "https://raw.githubusercontent.com/jakesnell/prototypical-networks/master/data/omniglot/splits/vinyals"

PARTS: tuple[Part, ...] = (
    Part(
        name="images_background",
        url=f"{_ARCHIVES}/images_background.zip",
        sha256="ad41ab679c8b5d90b271ef46be6987cc81211774a695c29dcc5367b2b26ee640",
        content="74034b90d71863430a39da8e4c42a83523c36d57bb8c1805d6b99fa2582f5fe3",
        alphabets={
            "Arcadian": 26,
            "Armenian": 41,
            "Asomtavruli_(Georgian)": 40,
            "Balinese": 24,
            "Bengali": 46,
            "Blackfoot_(Canadian_Aboriginal_Syllabics)": 14,
            "Braille": 26,
            "Cyrillic": 33,
            "Early_Aramaic": 22,
            "Syriac_(Estrangelo)": 23,
            "Anglo-Saxon_Futhorc": 29,
            "Futurama": 26,
            "Grantha": 43,
            "Greek": 24,
            "Gujarati": 48,
            "Hebrew": 22,
            "Japanese_(hiragana)": 52,
            "Inuktitut_(Canadian_Aboriginal_Syllabics)": 16,
            "Malay_(Jawi_-_Arabic)": 40,
            "Japanese_(katakana)": 47,
            "Korean": 40,
            "Latin": 26,
            "Alphabet_of_the_Magi": 20,
            "Mkhedruli_(Georgian)": 41,
            "Burmese_(Myanmar)": 34,
            "N_Ko": 33,
            "Ojibwe_(Canadian_Aboriginal_Syllabics)": 14,
            "Sanskrit": 42,
            "Tagalog": 17,
            "Tifinagh": 55,
        },
    ),
    Part(
        name="images_evaluation",
        url=f"{_ARCHIVES}/images_evaluation.zip",
        sha256="1f61a8f3366785b057fc117d9228e78a16e3d976c8953b2a10fcc74cf0609cee",
        content="67297fb9156359d6bcdb806e77288592d26ba87b052c01139b567bced1a664c4",
        alphabets={
            "Angelic": 20,
            "Atemayar_Qelisayer": 26,
            "Atlantean": 26,
            "Aurek-Besh": 26,
            "Avesta": 26,
            "Ge_ez": 26,
            "Glagolitic": 45,
            "Gurmukhi": 45,
            "Kannada": 41,
            "Keble": 26,
            "Malayalam": 47,
            "Manipuri": 40,
            "Mongolian": 30,
            "Old_Church_Slavonic_(Cyrillic)": 45,
            "Oriya": 46,
            "Syriac_(Serto)": 23,
            "Sylheti": 28,
            "Tengwar": 25,
            "Tibetan": 42,
            "ULOG": 26,
        },
    ),
)

SPLIT_LISTS: Mapping[str, tuple[str, str]] = {
    "train": (f"{_LISTS}/train.txt", "984522c194c30fb678ce53304a160a42faf5403ad4f9a67010f32dd3a35738e0"),
    "val": (f"{_LISTS}/val.txt", "11f99e54faee3e26f53d3231c1cceac5bf7b8730e9be31cb6dab256551dc0c1a"),
    "test": (f"{_LISTS}/test.txt", "845264cc5c156180828ccf17915668b17ee21424d0170df6e7d81676aa5d1204"),
}
"""Address and SHA-256 of each of Vinyals' lists."""


def character_names() -> list[str]:
    """Return ``Alphabet/characterNN`` of all characters, in the order of the files' numbers."""
    return [name for part in PARTS for name in _names(part)]


def read_characters(progress: Progress) -> NDArray[np.bool_]:
    """Return all drawings, True is ink: (n_characters, 20, 105, 105) bool.

    Download them if they are missing.

    Raises
    ------
    DataMissingError
        If they are missing and cannot be downloaded, or are not Omniglot.
    """
    import numpy as np

    return ~np.concatenate([_read_part(part, progress) for part in PARTS])


def read_split(name: str, progress: Progress) -> list[tuple[str, int]]:
    """Return the rotated classes of one of Vinyals' lists as (``Alphabet/characterNN``, degrees).

    Raises
    ------
    DataMissingError
        If the list is missing and cannot be downloaded, or is another one.
    """
    url, sha256 = SPLIT_LISTS[name]
    path = _find(f"splits_vinyals/{name}.txt")
    if path is None:
        path = _download_folder() / "splits_vinyals" / f"{name}.txt"
        path.parent.mkdir(exist_ok=True)
        retrieve(url, path, sha256, progress, _hint("the lists of Vinyals' split", "splits_vinyals/"))
    elif file_sha256(path) != sha256:
        raise DataMissingError(f"{path} is not Vinyals' list (sha256 {sha256[:12]}...); remove it to download it")
    lines = path.read_text(encoding="utf-8").split()
    return [(line.rpartition("/")[0], int(line.rpartition("/rot")[2])) for line in lines]


def _read_part(part: Part, progress: Progress) -> NDArray[np.bool_]:
    """Return the images of a part as stored: (n_characters, 20, 105, 105) bool, False is ink."""
    import numpy as np

    path = _find(f"{part.name}.npz")
    if path is not None:
        progress(f"omniglot: reading {path}")
        try:
            # opened here, since numpy leaves the file open if it cannot read it
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                images: NDArray[np.bool_] = arrays["images"]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise DataMissingError(f"{path} cannot be read: {error}; remove it to download the original") from error
        if drawings_hash(images) != part.content:
            raise DataMissingError(
                f"{path} does not hold Omniglot's {part.name}: content {drawings_hash(images)[:12]}...,"
                f" expected {part.content[:12]}...; remove it to download the original"
            )
        return images
    path = _find(f"{part.name}.zip")
    if path is None and (folder := _find_folder(part.name)) is not None:
        return _read_folder(folder, part, progress)
    if path is None:
        path = _download_folder() / f"{part.name}.zip"
        retrieve(part.url, path, part.sha256, progress, _hint("Omniglot's archives", f"{part.name}.zip"))
    elif (sha256 := file_sha256(path)) != part.sha256:
        raise DataMissingError(
            f"{path} is not Omniglot's archive (sha256 {sha256[:12]}..., expected {part.sha256[:12]}...); remove it to download it"
        )
    progress(f"omniglot: decoding {path}")
    images = _decode(path, part)
    if drawings_hash(images) != part.content:
        # the archive is the original, so this is no damage; the fingerprint goes by the content and
        # will differ
        progress(
            f"omniglot: {path} decodes to other content than elsewhere ({drawings_hash(images)[:12]}..., expected"
            f" {part.content[:12]}...): results are not comparable; try another version of Pillow"
        )
    return images


def _read_folder(folder: Path, part: Part, progress: Progress) -> NDArray[np.bool_]:
    progress(f"omniglot: decoding {folder}")
    images = _decode(folder, part)
    if drawings_hash(images) != part.content:
        raise DataMissingError(
            f"{folder} does not hold Omniglot's {part.name}: content {drawings_hash(images)[:12]}..., expected"
            f" {part.content[:12]}...: a drawing was changed, or this version of Pillow reads it in another way; move the"
            " folder away to download the original archive"
        )
    return images


def _decode(path: Path, part: Part) -> NDArray[np.bool_]:
    """Return the drawings in an archive or in a folder of unpacked ones."""
    import numpy as np
    from PIL import Image

    images = np.empty((len(_names(part)) * N_DRAWINGS, SIZE, SIZE), dtype=np.bool_)
    found: list[tuple[int, int, str, str]] = []
    with zipfile.ZipFile(path) if path.is_file() else nullcontext() as archive:
        entries = archive.namelist() if archive else [str(file.relative_to(path)) for file in path.rglob("*.png")]
        for entry in entries:
            matched = re.search(r"([^/]+/character\d+)/(\d+)_(\d+)\.png$", entry)
            # archives packed on macOS hold a shadow of every file
            if matched and not entry.startswith("__MACOSX"):
                found.append((int(matched[2]), int(matched[3]), matched[1], entry))
        found.sort()
        expected = [name for name in _names(part) for _ in range(N_DRAWINGS)]
        if [name for _, _, name, _ in found] != expected:
            raise DataMissingError(
                f"{path} holds {len(found)} drawings, not the {len(expected)} of {part.name} in order; remove it to"
                " download the original archive"
            )
        for row, (_, _, _, entry) in enumerate(found):
            content = archive.read(entry) if archive else (path / entry).read_bytes()
            try:
                with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
                    images[row] = np.asarray(image.convert("1"))
            except (OSError, ValueError, SyntaxError) as error:
                raise DataMissingError(f"{path}: {entry} cannot be read as a drawing: {error}") from error
    return images.reshape(-1, N_DRAWINGS, SIZE, SIZE)


def drawings_hash(images: NDArray[np.bool_]) -> str:
    """Return the hash of drawings with truth values as Pillow has them: bytes of 0 and 255."""
    import numpy as np

    values = (images.view(np.uint8) != 0).view(np.uint8)
    values *= 255
    return array_hash(values.view(np.bool_))


def _names(part: Part) -> list[str]:
    return [f"{alphabet}/character{i:02d}" for alphabet, n in part.alphabets.items() for i in range(1, n + 1)]


def _find(name: str) -> Path | None:
    return next((path for place in PLACES if (path := find_original(place, name))), None)


def _find_folder(name: str) -> Path | None:
    folders = (data_dir() / place / name for place in PLACES)
    return next((folder for folder in folders if folder.is_dir()), None)


def _download_folder() -> Path:
    return download_folder("omniglot", "Omniglot")


def _hint(what: str, name: str) -> str:
    folder, _ = original_places("omniglot")
    return (
        f"Without a network put {what} into {folder}/{name} (see docs/data.md), or set BENCHBENCH_DATA to the"
        " folder that holds omniglot/"
    )
