"""Shared by loaders of colour images in classes of equal size: miniImageNet, CIFAR-FS."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from benchbench.contracts.fewshot import FewShotTask, TaskInfo
from benchbench.contracts.loading import Progress, TaskLoader
from benchbench.errors import InputError
from benchbench.spec import content_hash
from benchbench.suites._options import check_range, read_options
from benchbench.suites._pools import ImagePool
from benchbench.suites._prepared import Built, find, folder_of, prepare

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["PARTS", "ImageLoader", "ImageOptions", "Images", "join", "quoted"]

PARTS = ("train", "val", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions:
    """Options of the loaders; `query` is per class at test, `seed` fixes the test episodes."""

    way: int
    shot: int
    query: int = 15
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Images:
    """The classes of one part.

    Parameters
    ----------
    names : tuple of str
        Of the classes, in order.
    images : (n_classes, n_per_class, side, side, 3) uint8
    sources : sequence of str
        What messages call each image, (n_classes * n_per_class,); () if no message names any.
    """

    names: tuple[str, ...]
    images: NDArray[np.uint8]
    sources: Sequence[str] = ()


class ImageLoader(TaskLoader):
    """Loader of images whose classes are split into training, validation and test classes.

    Attributes
    ----------
    n_classes : mapping of str to int
        Classes of each of `PARTS`.
    n_per_class : int
    side : int
        Height and width in pixels.
    version : int
        Raised when the images are to be prepared again.
    """

    track = "fewshot"
    n_classes: ClassVar[Mapping[str, int]]
    n_per_class: ClassVar[int]
    side: ClassVar[int]
    version: ClassVar[int]

    @abstractmethod
    def read(self, progress: Progress) -> tuple[Mapping[str, Images], str]:
        """Return the classes of each of `PARTS`, and a text on their origin.

        Called once, under a lock.

        Raises
        ------
        DataMissingError, InputError
            If they are missing and cannot be downloaded, or are not what they should be. Whether
            images stand twice is for this method to check, unless hashes show that the files are
            the published ones.
        """

    def check(self, options: Mapping[str, Any]) -> None:
        """See the base class."""
        found = read_options(ImageOptions, options, self.name)
        most = self.n_per_class - found.shot
        check_range(self.name, "way", found.way, 2, min(self.n_classes.values()), "classes of the smallest split")
        check_range(self.name, "shot", found.shot, 1, self.n_per_class - 1, f"{self.n_per_class} images a class")
        check_range(self.name, "query", found.query, 1, most, f"{self.n_per_class} images less {found.shot} shots")

    def info(self, name: str, options: Mapping[str, Any]) -> TaskInfo:
        """See the base class."""
        self.check(options)
        found = read_options(ImageOptions, options, self.name)
        return TaskInfo(
            name=name,
            kind="classification",
            n_way=found.way,
            k_shot=found.shot,
            n_query=found.way * found.query,
            input_shape=(3, self.side, self.side),
        )

    def prepare(self, options: Mapping[str, Any], progress: Progress) -> None:
        """See the base class."""
        self.check(options)
        prepare(self.name, self._identity, lambda: self._build(progress), progress)

    def fingerprint(self, options: Mapping[str, Any]) -> str:
        """See the base class."""
        self.check(options)
        protocol = asdict(read_options(ImageOptions, options, self.name))
        return content_hash({"loader": self.name, "data": find(self.name, self._identity).content, "options": protocol})

    def training_fingerprint(self, options: Mapping[str, Any]) -> str:
        """See the base class."""
        self.check(options)
        return content_hash(
            {"loader": self.name, "training": find(self.name, self._identity).content_of("train", "val")}
        )

    def load(self, name: str, options: Mapping[str, Any]) -> FewShotTask:
        """See the base class."""
        info = self.info(name, options)
        data = find(self.name, self._identity)
        train, validation, test = (ImagePool(data.array(part)) for part in PARTS)
        return FewShotTask(
            info=info,
            train=train,
            validation=validation,
            test=test,
            metric="accuracy",
            seed=read_options(ImageOptions, options, self.name).seed,
        )

    def folders(self, options: Mapping[str, Any]) -> Sequence[Path]:
        """See the base class."""
        return [folder_of(self.name, self._identity)]

    @property
    def _identity(self) -> dict[str, Any]:
        """Everything that distinguishes the prepared images from others.

        The content of the original files is part of the fingerprint.
        """
        return {"images": self.name, "size": self.side, "version": self.version}

    def _build(self, progress: Progress) -> Built:
        parts, source = self.read(progress)
        arrays, classes = {}, {}
        for part in PARTS:
            found = parts[part]
            shape = (self.n_classes[part], self.n_per_class, self.side, self.side, 3)
            if found.images.shape != shape or len(found.names) != shape[0]:
                raise InputError(f"{self.name}: images of {part} have shape {found.images.shape}, expected {shape}")
            arrays[part], classes[part] = found.images, list(found.names)
        owner: dict[str, str] = {}
        for part, names in classes.items():
            for name in names:
                if owner.setdefault(name, part) != part:
                    raise InputError(f"{self.name}: class {name} stands in {owner[name]} and in {part}")
        return Built(arrays=arrays, notes={"source": source, "classes": classes})

    def check_counts(self, part: str, counts: Mapping[str, int]) -> None:
        """Raise `InputError` unless numbers of classes and of images per class are as expected."""
        n, each = self.n_classes[part], self.n_per_class
        wrong = {name: count for name, count in counts.items() if count != each}
        if len(counts) == n and not wrong:
            return
        odd = f", of which {len(wrong)} have another number of images: {quoted(wrong)}" if wrong else ""
        raise InputError(f"{part} has {len(counts)} classes{odd}; expected {n} classes of {each} images")


def quoted(counts: Mapping[str, int]) -> str:
    """List the first few counts by name."""
    first = [f"{name} {count}" for name, count in list(counts.items())[:3]]
    return ", ".join([*first, "..."] if len(counts) > 3 else first)


def join(images: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return ``images[rows]`` for (n_classes, n_per_class) rows, without a copy if in order."""
    import numpy as np

    if np.array_equal(rows.ravel(), np.arange(len(images))):
        return images.reshape(*rows.shape, *images.shape[1:])
    chosen: NDArray[np.uint8] = images[rows]
    return chosen
