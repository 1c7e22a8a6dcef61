"""Omniglot, by either of the two protocols that papers use.

``vinyals`` (Matching networks, ProtoNet): Vinyals' lists of 4,112 / 688 / 1,692 classes for
meta-training, validation and meta-test. Each character turned by 0, 90, 180 and 270 degrees makes
four classes. Five queries per class at test.

``maml`` (MAML, Reptile): 1,100 / 100 / 423 characters chosen at random. Each class of each episode
is turned by a random multiple of 90 degrees, at test as well. As many queries per class as shots
(MAML's code; Reptile's has one, and takes the four turns of a character for classes of their own).
The papers' own random choice is not on record; the one here is fixed.

Drawings are scaled from 105 to 28 pixels with Lanczos' filter as grey images. (The papers' code
asks Pillow for the same, but on one-bit images, where Pillow falls back to the nearest pixel.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchbench.contracts.fewshot import FewShotTask, TaskInfo
from benchbench.contracts.loading import Progress, TaskLoader
from benchbench.errors import InputError, suggest
from benchbench.spec import content_hash
from benchbench.suites._omniglot_files import N_DRAWINGS, character_names, read_characters, read_split
from benchbench.suites._options import check_range, read_options
from benchbench.suites._pools import ImagePool
from benchbench.suites._prepared import Built, find, folder_of, prepare

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["N_CLASSES", "OmniglotLoader"]

VERSION = 1
"""Raised when anything below changes the prepared images."""
SIZE = 28
VINYALS_QUERY = 5
N_CLASSES: Mapping[str, Mapping[str, int]] = {
    "vinyals": {"train": 4112, "val": 688, "test": 1692},
    "maml": {"train": 1100, "val": 100, "test": 423},
}
SOURCE = "Omniglot, github.com/brendenlake/omniglot"

# what the prepared arrays depend on: all characters as they are, and the classes of Vinyals' lists
# made of them
UPRIGHT: Mapping[str, Any] = {"images": "upright", "size": SIZE, "version": VERSION}
TURNED: Mapping[str, Any] = {"images": "vinyals", "size": SIZE, "version": VERSION}


@dataclass(frozen=True, slots=True, kw_only=True)
class OmniglotOptions:
    """Options of the loader.

    Parameters
    ----------
    split : str
        "vinyals" or "maml".
    way, shot : int
    query : int
        Queries per class at test; 0 for the protocol's number: 5 (vinyals) or `shot` (maml).
    seed : int
        Fixes the test episodes.
    """

    split: str
    way: int
    shot: int
    query: int = 0
    seed: int = 0

    @property
    def n_query_per_class(self) -> int:
        """Queries per class at test."""
        return self.query or (VINYALS_QUERY if self.split == "vinyals" else self.shot)


class OmniglotLoader(TaskLoader):
    """Handwritten characters of 50 alphabets."""

    name = "omniglot"
    track = "fewshot"

    def check(self, options: Mapping[str, Any]) -> None:
        """See the base class."""
        self._read(options)

    def info(self, name: str, options: Mapping[str, Any]) -> TaskInfo:
        """See the base class."""
        found = self._read(options)
        return TaskInfo(
            name=name,
            kind="classification",
            n_way=found.way,
            k_shot=found.shot,
            n_query=found.way * found.n_query_per_class,
            input_shape=(1, SIZE, SIZE),
        )

    def prepare(self, options: Mapping[str, Any], progress: Progress) -> None:
        """See the base class; some seconds, once."""
        split = self._read(options).split
        if split == "vinyals":
            prepare(self.name, TURNED, lambda: _build_turned(progress), progress)
        else:
            prepare(self.name, UPRIGHT, lambda: _build_upright(progress), progress)

    def fingerprint(self, options: Mapping[str, Any]) -> str:
        """See the base class."""
        found = self._read(options)
        protocol = {"way": found.way, "shot": found.shot, "query": found.n_query_per_class, "seed": found.seed}
        if found.split == "vinyals":
            data = {"turned": find(self.name, TURNED).content}
        else:
            data = {"upright": find(self.name, UPRIGHT).content, "characters": content_hash(maml_split())}
        return content_hash({"loader": self.name, "version": VERSION, "split": found.split, **data, **protocol})

    def training_fingerprint(self, options: Mapping[str, Any]) -> str:
        """See the base class."""
        split = self._read(options).split
        if split == "vinyals":
            data = {"turned": find(self.name, TURNED).content_of("train", "val")}
        else:
            chosen = {part: maml_split()[part] for part in ("train", "val")}
            data = {"upright": find(self.name, UPRIGHT).content, "characters": content_hash(chosen)}
        return content_hash({"loader": self.name, "training": split, **data})

    def load(self, name: str, options: Mapping[str, Any]) -> FewShotTask:
        """See the base class."""
        import numpy as np

        found = self._read(options)
        if found.split == "vinyals":
            data = find(self.name, TURNED)
            train, validation, test = (ImagePool(data.array(part)) for part in N_CLASSES["vinyals"])
        else:
            images = find(self.name, UPRIGHT).array("images")
            position = {character: i for i, character in enumerate(character_names())}
            train, validation, test = (
                ImagePool(images, np.array([position[character] for character in characters]), rotates=True)
                for characters in maml_split().values()
            )
        return FewShotTask(
            info=self.info(name, options),
            train=train,
            validation=validation,
            test=test,
            metric="accuracy",
            seed=found.seed,
        )

    def folders(self, options: Mapping[str, Any]) -> Sequence[Path]:
        """See the base class."""
        return [folder_of(self.name, TURNED if self._read(options).split == "vinyals" else UPRIGHT)]

    def _read(self, options: Mapping[str, Any]) -> OmniglotOptions:
        found = read_options(OmniglotOptions, options, self.name)
        if found.split not in N_CLASSES:
            raise InputError(f"option 'split' of loader 'omniglot' is {found.split!r}{suggest(found.split, N_CLASSES)}")
        # the training split is the largest
        check_range(
            self.name, "way", found.way, 2, min(N_CLASSES[found.split].values()), "classes of the smallest split"
        )
        check_range(self.name, "shot", found.shot, 1, N_DRAWINGS - 1, f"{N_DRAWINGS} drawings a class")
        if found.query:
            check_range(self.name, "query", found.query, 1, N_DRAWINGS)
        if found.shot + found.n_query_per_class > N_DRAWINGS:
            raise InputError(
                f"loader 'omniglot': shot {found.shot} and query {found.n_query_per_class} are more than the {N_DRAWINGS} drawings"
                " of a class"
            )
        return found


def maml_split() -> dict[str, list[str]]:
    """Return a fixed random choice of characters for each part.

    By hashes, which no library can change.
    """
    names = sorted(character_names(), key=lambda name: hashlib.sha256(f"benchbench/maml/{name}".encode()).digest())
    split, first = {}, 0
    for part, n in N_CLASSES["maml"].items():
        split[part] = names[first : first + n]
        first += n
    return split


def _build_upright(progress: Progress) -> Built:
    """Decode and scale all characters; `images` is (n_characters, 20, 28, 28) uint8, 255 is ink."""
    characters = read_characters(progress)
    progress(f"omniglot: scaling {characters.shape[0] * characters.shape[1]:,} drawings to {SIZE} pixels (once)")
    return Built(arrays={"images": shrink(characters)}, notes={"source": SOURCE})


def _build_turned(progress: Progress) -> Built:
    """Make the classes of Vinyals' lists.

    One array per list, (n_classes, 20, 28, 28) uint8, 255 is ink.
    """
    import numpy as np

    # the lists first: they are small, and without them the rest is of no use
    lists = {part: read_split(part, progress) for part in N_CLASSES["vinyals"]}
    upright = prepare(OmniglotLoader.name, UPRIGHT, lambda: _build_upright(progress), progress).array("images")
    position = {name: i for i, name in enumerate(character_names())}
    arrays = {}
    for part, classes in lists.items():
        images = np.asarray(upright)[[position[name] for name, _ in classes]]
        degrees = np.array([turn for _, turn in classes])
        for turn in (90, 180, 270):
            # counter-clockwise, as Pillow's rotate in ProtoNet's code
            images[degrees == turn] = np.rot90(images[degrees == turn], turn // 90, axes=(-2, -1))
        arrays[part] = images
    return Built(arrays=arrays, notes={"source": SOURCE, "lists": "Vinyals et al. 2016"})


def shrink(characters: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Scale drawings (n_characters, n_drawings, height, width) to `SIZE` pixels.

    True or 255 is ink.
    """
    import numpy as np
    from PIL import Image

    flat = characters.reshape(-1, *characters.shape[2:])
    small = np.empty((len(flat), SIZE, SIZE), dtype=np.uint8)
    for row, drawing in enumerate(flat):
        # paper is 255 while scaling, as in the original files, so that rounding is theirs
        image = Image.fromarray(np.where(drawing, np.uint8(0), np.uint8(255)))
        small[row] = 255 - np.asarray(image.resize((SIZE, SIZE), Image.Resampling.LANCZOS))
    return small.reshape(*characters.shape[:2], SIZE, SIZE)
