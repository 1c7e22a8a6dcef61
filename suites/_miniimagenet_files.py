"""miniImageNet's files in the forms in which they are distributed, under `data_dir()/miniimagenet`.

The first form found is read.

1. Ravi & Larochelle's lists ``train.csv``, ``val.csv`` and ``test.csv`` (columns filename, label)
   and the images that they name, as ``images/<filename>`` or ``images/<label>/<filename>``.
2. Folders ``train``, ``val`` and ``test`` that hold a folder of images per class.
3. Pickles ``mini-imagenet-cache-{train,val,test}.pkl`` (learn2learn calls the second one
   ``-validation``), or those of Gidaris & Komodakis
   (``miniImageNet_category_split_*.pickle``): a dictionary of `image_data` (n, 84, 84, 3) uint8 and
   `class_dict` (class to rows), or of `data` and `labels`, perhaps with `catname2label`. Nothing in
   them is executed.

``validation`` or ``valid`` may stand for ``val`` everywhere; capitals, and ``_`` for ``-``, do not
matter. What macOS adds to archives (``__MACOSX``, ``._*``, ``.DS_Store``) is not looked at.

Classes are put in the order of their names; images in that of their file names, or as they stand in
the pickle.
"""

from __future__ import annotations

import csv
import os
import warnings
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.contracts.loading import Progress
from benchbench.errors import DataMissingError, InputError
from benchbench.paths import data_dir
from benchbench.suites._image_loader import PARTS, ImageLoader, Images, join
from benchbench.suites._safe_pickle import read_pickle, text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

__all__ = ["Layout", "find_layout"]

ENDINGS = (".jpg", ".jpeg", ".png")
PART_NAMES: Mapping[str, Sequence[str]] = {
    "train": ("train",),
    "val": ("val", "validation", "valid"),
    "test": ("test",),
}
"""What each of `PARTS` may be called."""
# other decoders of Pillow's run other programs, or are seldom looked at
FORMATS = ("JPEG", "PNG")
MOST_THREADS = 8
# a file of some kilobytes may claim gigabytes; ImageNet's largest have 20 million
MOST_PIXELS = 40_000_000

WANTED = """\
miniImageNet is not in {folder}, and may not be downloaded by a program. Put one of these there (see docs/data.md), or set \
BENCHBENCH_DATA to the folder that holds miniimagenet/:
  - train.csv, val.csv, test.csv (Ravi & Larochelle's, columns filename,label) and images/ with the 60,000 images that they name
  - folders train/, val/, test/, each with a folder of 600 images for each of its 64, 16 and 20 classes
  - mini-imagenet-cache-train.pkl, mini-imagenet-cache-val.pkl, mini-imagenet-cache-test.pkl"""


class Layout(ABC):
    """One of the forms.

    Parameters
    ----------
    title : str
    folder : Path
    pattern : str
        Name of what must exist for each of `PARTS`, with a place for the part.
    names : mapping of str to sequence of str
        What each part may be called there; the first that exists is read.
    """

    def __init__(self, title: str, folder: Path, pattern: str, names: Mapping[str, Sequence[str]] = PART_NAMES) -> None:
        self.title, self.folder = title, folder
        self.paths = {part: _existing(folder, [pattern.format(name) for name in names[part]]) for part in PARTS}

    def is_there(self, part: str) -> bool:
        """Whether the part's list, folder or pickle exists."""
        return self.paths[part].is_file()

    def check(self) -> None:  # noqa: B027
        """Raise `InputError` for what can be seen to be wrong before anything is decoded."""

    @abstractmethod
    def read(self, part: str, loader: ImageLoader, progress: Progress) -> Images:
        """Return the classes of a part; `loader` says how many there must be, and their size.

        Raises
        ------
        DataMissingError, InputError
        """


class _Lists(Layout):
    """CSV lists and a folder of images."""

    def check(self) -> None:
        listed: dict[Path, list[str]] = defaultdict(list)
        for part in PARTS:
            for number, (name, label) in enumerate(_rows(self.paths[part]), 2):
                place = self._place(name, label)
                if place is not None:
                    listed[place].append(f"{self.paths[part].name}, row {number}")
        twice = {place: rows for place, rows in listed.items() if len(rows) > 1}
        if twice:
            first = [f"{place.name} ({' and '.join(rows)})" for place, rows in list(twice.items())[:5]]
            raise InputError(
                f"lists in {self.folder} name {len(twice)} images more than once: {'; '.join(first)}"
                f"{'; ...' if len(twice) > 5 else ''}. Each image must stand in one list, once"
            )

    def read(self, part: str, loader: ImageLoader, progress: Progress) -> Images:
        path, folder = self.paths[part], self.folder / "images"
        files: dict[str, list[Path]] = defaultdict(list)
        missing = []
        for name, label in _rows(path):
            place = self._place(name, label)
            if place is None:
                missing.append(name)
            else:
                files[label].append(place)
        if missing:
            raise DataMissingError(
                f"{len(missing)} images that {path} names are neither in {folder} nor in {folder}/<label>; the first is"
                f" {missing[0]!r}"
            )
        return _decode(files, part, path, loader, progress)

    def _place(self, name: str, label: str) -> Path | None:
        folder = self.folder / "images"
        return next((path for path in (folder / name, folder / label / name) if path.is_file()), None)


class _Folders(Layout):
    """A folder of images for each class."""

    def is_there(self, part: str) -> bool:
        return self.paths[part].is_dir()

    def read(self, part: str, loader: ImageLoader, progress: Progress) -> Images:
        path = self.paths[part]
        files = {
            folder.name: [file for file in _visible(folder) if file.suffix.lower() in ENDINGS]
            for folder in _visible(path)
            if folder.is_dir()
        }
        return _decode(files, part, path, loader, progress)


class _Pickles(Layout):
    """Arrays in one pickle per part."""

    def read(self, part: str, loader: ImageLoader, progress: Progress) -> Images:
        import numpy as np

        path = self.paths[part]
        progress(f"{loader.name}: reading {path}")
        with path.open("rb") as file:
            content = read_pickle(file, path)
        try:
            images, classes = _images_and_classes(content, part)
            expected = (loader.side, loader.side, 3)
            if images.dtype != np.uint8 or images.shape[1:] != expected:
                raise InputError(
                    f"images are {images.dtype} of shape {images.shape}, expected uint8 of (n, *{expected})"
                )
            loader.check_counts(part, {name: len(rows) for name, rows in classes.items()})
        # what a pickle holds may be of any type
        except (InputError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InputError(f"{path}: {error}") from error
        rows = np.stack([classes[name] for name in sorted(classes)])
        if rows.min() < 0 or rows.max() >= len(images) or len(np.unique(rows)) != rows.size:
            raise InputError(f"{path}: classes name rows twice, or rows that are not among the {len(images)} images")
        sources = [f"{path.name}, class {name}, image {row}" for name in sorted(classes) for row in classes[name]]
        return Images(tuple(sorted(classes)), join(images, rows), sources)


def find_layout() -> Layout:
    """Return the first complete layout.

    Raises
    ------
    DataMissingError
        If there is none: what is expected, and what is missing from a partial layout.
    """
    folder = data_dir() / "miniimagenet"
    gidaris = {**PART_NAMES, "train": ("train_phase_train",)}
    layouts = (
        _Lists("images and lists", folder, "{}.csv"),
        _Folders("folders of classes", folder, "{}"),
        _Pickles("mini-imagenet-cache pickles", folder, "mini-imagenet-cache-{}.pkl"),
        _Pickles("miniImageNet_category_split pickles", folder, "miniImageNet_category_split_{}.pickle", gidaris),
    )
    told = WANTED.format(folder=folder)
    for layout in layouts:
        there = {part: layout.is_there(part) for part in PARTS}
        if all(there.values()):
            return layout
        if any(there.values()):
            missing = ", ".join(layout.paths[part].name for part in PARTS if not there[part])
            found = ", ".join(layout.paths[part].name for part in PARTS if there[part])
            told += f"\nThere is {found}, but not {missing}."
    raise DataMissingError(told)


def _existing(folder: Path, names: Sequence[str]) -> Path:
    """Return the first that exists, whatever its capitals and dashes; else the first name."""
    there = {_plain(path.name): path for path in sorted(_visible(folder), reverse=True)} if folder.is_dir() else {}
    places = [path for name in names for path in (folder / name, there.get(_plain(name))) if path and path.exists()]
    return places[0] if places else folder / names[0]


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(".pickle", ".pkl")


def _visible(folder: Path) -> list[Path]:
    """Return what a folder holds, without hidden files and what macOS adds to archives."""
    return [path for path in folder.iterdir() if not path.name.startswith(".") and path.name != "__MACOSX"]


def _rows(path: Path) -> list[tuple[str, str]]:
    """Return the file name and the label in each row of a list."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not {"filename", "label"} <= set(rows.fieldnames or ()):
                raise InputError(f"{path} has the columns {rows.fieldnames}, expected filename,label")
            found = [(row["filename"] or "", row["label"] or "") for row in rows]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    for number, names in enumerate(found, 2):
        # the list comes from somewhere else, and must not name files outside the folder
        if any(name in ("", ".", "..") or Path(name).name != name for name in names):
            raise InputError(f"{path}, row {number}: expected a file's name and a label without folders, got {names!r}")
    return found


def _decode(
    files: Mapping[str, Sequence[Path]], part: str, source: Path, loader: ImageLoader, progress: Progress
) -> Images:
    """Read and scale the images of each class, by their names."""
    import numpy as np

    try:
        loader.check_counts(part, {name: len(found) for name, found in sorted(files.items())})
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    names = tuple(sorted(files))
    paths = [path for name in names for path in sorted(files[name], key=lambda path: path.name)]
    progress(f"{loader.name}: decoding {len(paths):,} images of {part} (once)")
    images = np.empty((len(paths), loader.side, loader.side, 3), dtype=np.uint8)
    # Pillow decodes and scales without Python's lock
    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        for row, image in enumerate(pool.map(lambda path: _read_image(path, loader.side), paths)):
            images[row] = image
    # several files may have one name, in folders of classes
    rows = [(path, path.relative_to(source.parent)) for path in paths]
    sources = [str(short) if source in path.parents else f"{part}: {short}" for path, short in rows]
    return Images(names, images.reshape(len(names), -1, *images.shape[1:]), sources)


def _read_image(path: Path, side: int) -> NDArray[np.uint8]:
    """Return an image as (side, side, 3) uint8."""
    import numpy as np
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path, formats=FORMATS)
        with image:
            if image.width * image.height > MOST_PIXELS:
                raise InputError(
                    f"{path} has {image.width:,} x {image.height:,} pixels, expected at most {MOST_PIXELS:,}"
                )
            coloured = _in_eight_bits(image).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be read as an image: {error}") from error
    if coloured.size != (side, side):
        coloured = coloured.resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(coloured)


def _in_eight_bits(image: Image.Image) -> Image.Image:
    """Return a grey image of 16 bits, which Pillow would cut off at 255, with 8."""
    import numpy as np
    from PIL import Image

    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.int64)
    return Image.fromarray(((values * 255 + 32_767) // 65_535).astype(np.uint8))


def _images_and_classes(content: Mapping[str, Any], part: str) -> tuple[NDArray[Any], dict[str, NDArray[np.int64]]]:
    """Return the images of a pickle, (n, height, width, 3), and the rows of each class."""
    import numpy as np

    if {"image_data", "class_dict"} <= set(content):
        classes = {text(name): np.asarray(rows, dtype=np.int64) for name, rows in content["class_dict"].items()}
        return np.asarray(content["image_data"]), classes
    if {"data", "labels"} <= set(content):
        labels = np.asarray(content["labels"])
        if labels.ndim != 1 or len(labels) != len(images := np.asarray(content["data"])):
            raise InputError(f"labels have shape {labels.shape}, expected one for each image")
        names = {int(label): text(name) for name, label in content.get("catname2label", {}).items()}
        counted = Counter(labels.tolist())
        # without names a number says nothing across files, where each begins at 0
        titles = {label: names.get(label, f"{part} {text(label)}") for label in counted}
        return images, {titles[label]: np.flatnonzero(labels == label) for label in counted}
    raise InputError(
        f"the dictionary has the keys {', '.join(sorted(content)) or 'none'}; expected image_data and class_dict, or data"
        " and labels"
    )
