"""Supplies of episodes: classes of images, and sine waves.

Shapes are those of `benchbench.contracts.fewshot`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchbench.contracts.fewshot import EpisodeBatch, EpisodeSource

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Drawn", "ImagePool", "SinePool"]

N_TURNS = 4
"""Quarter turns of an image."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Which images are in some episodes.

    What `ImagePool.draw` returns and `ImagePool.gather` turns into images.

    Parameters
    ----------
    classes : (n_tasks, n_way) int64
        Positions in `ImagePool.classes`, distinct within an episode.
    items : (n_tasks, n_way, k_shot + n_query_per_class) int64
        Drawings of each class, distinct; the first `k_shot` are support.
    turns : (n_tasks, n_way) int64
        Quarter turns by which all images of the class are rotated in this episode; zeros unless the
        pool rotates.
    """

    classes: NDArray[np.int64]
    items: NDArray[np.int64]
    turns: NDArray[np.int64]


class ImagePool(EpisodeSource):
    """Episodes over classes of images, grey (ink is 1, paper 0) or red, green and blue.

    Parameters
    ----------
    images : (n_stored, n_per_class, height, width[, 3]) uint8
        With a last axis of 3 in colour. Usually a read-only memory map, also of classes that do not
        belong to this pool. Episodes hold images as (channels, height, width).
    classes : (n_classes,) int64, optional
        The classes of this pool, as positions in `images`; all of them if None.
    rotates : bool
        Whether each class of an episode is turned by a random multiple of 90 degrees (MAML's
        Omniglot).

    Attributes
    ----------
    images, classes, rotates
        Methods that train on plain batches, or embed every image once, may read them: image `i` of
        class `c` of this pool is ``images[classes[c], i]``. Images of other classes are not
        for them.
    n_classes, n_per_class : int
    """

    kind = "classification"

    def __init__(
        self, images: NDArray[np.uint8], classes: NDArray[np.int64] | None = None, *, rotates: bool = False
    ) -> None:
        import numpy as np

        if images.ndim not in (4, 5) or (images.ndim == 5 and images.shape[-1] != 3):
            raise ValueError(
                "expected images of shape (n_stored, n_per_class, height, width) or the same with 3 colours last, got"
                f" {images.shape}"
            )
        # a plain view: every operation on np.memmap itself pays for its bookkeeping
        self.images: NDArray[np.uint8] = np.asarray(images)
        self.classes = np.arange(len(images)) if classes is None else np.asarray(classes, dtype=np.int64)
        self.rotates = rotates
        self.n_classes = len(self.classes)
        self.n_per_class = int(images.shape[1])
        self.input_shape = (3 if images.ndim == 5 else 1, *images.shape[2:4])

    def sample(
        self, rng: np.random.Generator, *, n_way: int, k_shot: int, n_query_per_class: int, n_tasks: int = 1
    ) -> EpisodeBatch:
        """See the base class."""
        import numpy as np

        drawn = self.draw(rng, n_way=n_way, n_items=k_shot + n_query_per_class, n_tasks=n_tasks)
        # all at once and then split: converting slices is ten times slower
        images = self._floats(drawn)
        shape = (n_tasks, -1, *self.input_shape)
        labels = np.arange(n_way, dtype=np.int64)
        ids = self._ids(drawn)
        return EpisodeBatch(
            support_x=images[:, :, :k_shot].reshape(shape),
            support_y=np.tile(np.repeat(labels, k_shot), (n_tasks, 1)),
            query_x=images[:, :, k_shot:].reshape(shape),
            query_y=np.tile(np.repeat(labels, n_query_per_class), (n_tasks, 1)),
            support_id=ids[:, :, :k_shot].reshape(n_tasks, -1),
            query_id=ids[:, :, k_shot:].reshape(n_tasks, -1),
        )

    @property
    def n_labels(self) -> int:
        """Classes.

        Four times as many if the pool rotates, since a turned character is another class.
        """
        return self.n_classes * (N_TURNS if self.rotates else 1)

    def sample_images(self, rng: np.random.Generator, n_images: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """See the base class."""
        drawn, labels = self.draw_images(rng, n_images)
        return self._floats(drawn).reshape(n_images, *self.input_shape), labels

    def draw_images(self, rng: np.random.Generator, n_images: int) -> tuple[Drawn, NDArray[np.int64]]:
        """Choose images, each a task of one class and one drawing, and their labels (n_images,).

        `sample_images` begins with this.
        """
        labels = rng.integers(0, self.n_labels, (n_images, 1))
        classes, turns = labels % self.n_classes, labels // self.n_classes
        return Drawn(classes, rng.integers(0, self.n_per_class, (n_images, 1, 1)), turns), labels[:, 0]

    def _ids(self, drawn: Drawn) -> NDArray[np.int64]:
        """Number the images of `drawn`: (n_tasks, n_way, n_items)."""
        turned = drawn.classes * N_TURNS + drawn.turns
        return turned[:, :, None] * self.n_per_class + drawn.items

    def draw(self, rng: np.random.Generator, *, n_way: int, n_items: int, n_tasks: int = 1) -> Drawn:
        """Choose classes, drawings and quarter turns without touching an image.

        `sample` begins with this.

        Raises
        ------
        ValueError
            If there are fewer than `n_way` classes or fewer than `n_items` drawings per class.
        """
        import numpy as np

        if not 1 <= n_way <= self.n_classes:
            raise ValueError(f"cannot draw {n_way} classes of {self.n_classes}")
        if not 1 <= n_items <= self.n_per_class:
            raise ValueError(f"cannot draw {n_items} images of a class (support + query) of {self.n_per_class}")
        classes = _distinct(rng, self.n_classes, n_way, n_tasks)
        items = rng.random((n_tasks, n_way, self.n_per_class)).argsort(axis=2)[:, :, :n_items]
        turns = (
            rng.integers(0, N_TURNS, (n_tasks, n_way)) if self.rotates else np.zeros((n_tasks, n_way), dtype=np.int64)
        )
        return Drawn(classes, items, turns)

    def gather(self, drawn: Drawn) -> NDArray[np.uint8]:
        """Return the images of `drawn`, turned, as stored.

        They are (n_tasks, n_way, n_items, height, width[, 3]) uint8.
        """
        import numpy as np

        images: NDArray[np.uint8] = self.images[self.classes[drawn.classes][:, :, None], drawn.items]
        if self.rotates:
            for turn in (1, 2, 3):
                chosen = drawn.turns == turn
                images[chosen] = np.rot90(images[chosen], turn, axes=(2, 3))
        return images

    def _floats(self, drawn: Drawn) -> NDArray[np.float32]:
        """Return the images of `drawn` in [0, 1].

        They are (n_tasks, n_way, n_items, height, width), in colour (..., 3, height, width).
        """
        import numpy as np

        images = self.gather(drawn)
        if images.ndim == 6:
            # while they are bytes: half the time of doing it afterwards
            images = np.ascontiguousarray(np.moveaxis(images, -1, -3))
        return as_float(images)


class SinePool(EpisodeSource):
    """MAML's regression tasks: y = a sin(x - p).

    a in [0.1, 5], p in [0, pi], x in [-5, 5], all uniform.

    References
    ----------
    Finn, Abbeel & Levine 2017, arXiv:1703.03400, section 5.1.
    """

    kind = "regression"
    input_shape = (1,)
    n_classes = 0
    amplitudes = (0.1, 5.0)
    phases = (0.0, 3.141592653589793)
    inputs = (-5.0, 5.0)

    def sample(
        self, rng: np.random.Generator, *, n_way: int, k_shot: int, n_query_per_class: int, n_tasks: int = 1
    ) -> EpisodeBatch:
        """See the base class; `n_way` must be 1."""
        import numpy as np

        if n_way != 1 or k_shot < 1 or n_query_per_class < 1:
            raise ValueError(
                f"expected n_way=1, k_shot>=1, n_query_per_class>=1; got {n_way}, {k_shot}, {n_query_per_class}"
            )
        amplitude = rng.uniform(*self.amplitudes, (n_tasks, 1, 1))
        phase = rng.uniform(*self.phases, (n_tasks, 1, 1))
        x = rng.uniform(*self.inputs, (n_tasks, k_shot + n_query_per_class, 1))
        y: NDArray[np.float32] = (amplitude * np.sin(x - phase)).astype(np.float32)
        inputs: NDArray[np.float32] = x.astype(np.float32)
        return EpisodeBatch(inputs[:, :k_shot], y[:, :k_shot], inputs[:, k_shot:], y[:, k_shot:])


def as_float(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return grey levels in [0, 1]."""
    import numpy as np

    # in two steps: numpy converts and multiplies through a small buffer otherwise, five times
    # slower
    grey: NDArray[np.float32] = images.astype(np.float32)
    grey *= np.float32(1 / 255)
    return grey


def _distinct(rng: np.random.Generator, n: int, size: int, n_rows: int) -> NDArray[np.int64]:
    """Draw rows of `size` distinct numbers below `n`, uniformly, shuffled: (n_rows, size)."""
    import numpy as np

    if 2 * size > n:
        return rng.random((n_rows, n)).argsort(axis=1)[:, :size]
    # redrawing repeated numbers treats all numbers alike, so every row of distinct numbers is as
    # likely as any other
    rows = rng.integers(0, n, (n_rows, size))
    while True:
        order = rows.argsort(axis=1, kind="stable")
        ordered = np.take_along_axis(rows, order, axis=1)
        again = np.zeros(rows.shape, dtype=bool)
        np.put_along_axis(again, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
        n_again = int(again.sum())
        if n_again == 0:
            return rows
        rows[again] = rng.integers(0, n, n_again)
