"""CIFAR-FS: CIFAR-100's classes, 600 images of 32 x 32 pixels each, split 64 / 16 / 20.

The split is that of Bertinetto et al.

Made of the original archive ``cifar-100-python.tar.gz``, or of the folder ``cifar-100-python`` that
it unpacks to, which are looked for in `data_dir()/cifar100`; else the archive is downloaded. It is
read as it is: no file is unpacked from it, and nothing in its pickles is executed. A class holds
its 500 training images, then its 100 test images, in the order of the files. Their hashes are those
of the published ones, so images are not searched for copies.

References
----------
Krizhevsky 2009, Learning multiple layers of features from tiny images;
https://www.cs.toronto.edu/~kriz/cifar.html.
Bertinetto et al. 2019, arXiv:1805.08136; the split as in github.com/tristandeleu/pytorch-meta
(``torchmeta/datasets/assets/cifar100/cifar-fs``), with which the lists in three other public code
bases agree.
"""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.contracts.loading import Progress
from benchbench.errors import DataMissingError, InputError
from benchbench.suites._download import download_folder, file_sha256, find_original, original_places, retrieve
from benchbench.suites._image_loader import PARTS, ImageLoader, Images, join
from benchbench.suites._safe_pickle import read_pickle, text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SPLIT", "CifarFsLoader"]

ARCHIVE = "cifar-100-python.tar.gz"
URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
# as Keras and TensorFlow Datasets record it; the page of CIFAR gives the MD5,
# eb9058c3a382ffc7106e4002c42a8d85
SHA256 = "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"

FOLDER = "cifar-100-python"
# of the unpacked files, as torchvision records them
MD5 = {
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    "meta": "7973b15100ade9c7d40fb424638fde48",
}

_TRAIN = """apple aquarium_fish bear bee bottle bowl boy bridge bus can castle caterpillar chair clock cloud cockroach couch cup
dinosaur dolphin elephant forest girl hamster house kangaroo keyboard lawn_mower lion lizard lobster mountain mouse mushroom
oak_tree orange orchid palm_tree pear pine_tree plate porcupine possum rabbit raccoon ray road seal shrew skunk skyscraper snake
spider squirrel streetcar sunflower tank tiger train trout tulip turtle willow_tree wolf"""
_VAL = """beaver beetle butterfly camel cattle crab crocodile flatfish lamp maple_tree motorcycle otter sea shark television
tractor"""
_TEST = """baby bed bicycle chimpanzee fox leopard man pickup_truck plain poppy rocket rose snail sweet_pepper table telephone
wardrobe whale woman worm"""

SPLIT: Mapping[str, tuple[str, ...]] = {
    part: tuple(names.split()) for part, names in zip(PARTS, (_TRAIN, _VAL, _TEST), strict=True)
}
"""Classes of each part."""


class CifarFsLoader(ImageLoader):
    """Small photographs of 100 kinds of things."""

    name = "cifar-fs"
    n_classes: ClassVar[Mapping[str, int]] = {"train": 64, "val": 16, "test": 20}
    n_per_class = 600
    side = 32
    version = 1

    def read(self, progress: Progress) -> tuple[Mapping[str, Images], str]:
        """See the base class; some seconds."""
        import numpy as np

        path = _original(progress)
        progress(f"{self.name}: reading {path} (once)")
        images, labels, names = _read_original(path, self.side)
        rows = {name: np.flatnonzero(labels == label) for label, name in enumerate(names)}
        parts = {}
        for part, chosen in SPLIT.items():
            unknown = [name for name in chosen if name not in rows]
            if unknown:
                raise InputError(f"{path} has no class {unknown[0]!r}")
            try:
                self.check_counts(part, {name: len(rows[name]) for name in chosen})
            except InputError as error:
                raise InputError(f"{path}: {error}") from error
            parts[part] = Images(chosen, join(images, np.stack([rows[name] for name in chosen])))
        return parts, "CIFAR-100, cs.toronto.edu/~kriz/cifar.html"


def _original(progress: Progress) -> Path:
    """Return the original archive, or the unpacked folder; download the former if need be."""
    path = find_original("cifar100", ARCHIVE)
    if path is not None:
        if (found := file_sha256(path)) != SHA256:
            raise DataMissingError(
                f"{path} is not the original: sha256 {found[:12]}..., expected {SHA256[:12]}...; remove it to download it"
            )
        return path
    folder = original_places("cifar100")[0] / FOLDER
    if folder.is_dir():
        return folder
    path = download_folder("cifar100", "CIFAR-100") / ARCHIVE
    hint = (
        f"Without a network put {ARCHIVE} into {original_places('cifar100')[0]} (see docs/data.md), or set BENCHBENCH_DATA to"
        " the folder that holds cifar100/"
    )
    retrieve(URL, path, SHA256, progress, hint)
    return path


def _read_original(path: Path, side: int) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[str]]:
    """Return images (n, side, side, 3) uint8, labels (n,) int64 and the names of the labels."""
    import numpy as np

    try:
        if path.is_dir():
            train, test, meta = (_unpacked(path / name) for name in MD5)
        else:
            with tarfile.open(path, "r:gz") as archive:
                train, test, meta = (_member(archive, name, path) for name in MD5)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    try:
        names = [text(name) for name in meta["fine_label_names"]]
        labels = np.concatenate([np.asarray(half["fine_labels"], dtype=np.int64) for half in (train, test)])
        pixels = np.concatenate([np.asarray(half["data"]) for half in (train, test)])
    except (KeyError, TypeError, ValueError, OverflowError, InputError) as error:
        raise InputError(f"{path} does not hold what CIFAR-100 does: {type(error).__name__}: {error}") from error
    if pixels.dtype != np.uint8 or pixels.shape != (len(labels), 3 * side * side):
        raise InputError(
            f"{path} holds {pixels.dtype} of shape {pixels.shape} and {len(labels)} labels, expected uint8 of"
            f" (n, {3 * side * side}) and n labels"
        )
    # all red values of an image are first, row by row, then the green and the blue ones
    return pixels.reshape(-1, 3, side, side).transpose(0, 2, 3, 1), labels, names


def _unpacked(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        if (found := hashlib.file_digest(file, "md5").hexdigest()) != MD5[path.name]:
            raise DataMissingError(
                f"{path} is not the original: MD5 {found}, expected {MD5[path.name]}; remove {path.parent} to download it"
            )
        file.seek(0)
        return read_pickle(file, path)


def _member(archive: tarfile.TarFile, name: str, path: Path) -> dict[str, Any]:
    try:
        file = archive.extractfile(f"{FOLDER}/{name}")
    except KeyError:
        file = None
    if file is None:
        raise InputError(f"{path} holds no file {FOLDER}/{name}")
    with file:
        return read_pickle(file, f"{path}: {name}")
