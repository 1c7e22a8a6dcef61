"""Episodes and images as tensors on the device.

On a GPU the training images stay there, and only indices travel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy as np

    from benchbench.contracts.fewshot import EpisodeSource

__all__ = ["Episodes", "Supply", "shuffled"]

Episodes = tuple[Tensor, Tensor, Tensor, Tensor]
"""support_x (n_tasks, n_support, *input), support_y, query_x, query_y, as in `EpisodeBatch`."""

# a pool larger than this stays in main memory; miniImageNet's 64 classes are 0.8 GB
MAX_RESIDENT_BYTES = 4 * 2**30


@runtime_checkable
class _Indexed(Protocol):
    """A pool of images that can say which images an episode takes, without gathering them."""

    images: np.ndarray[Any, Any]
    classes: np.ndarray[Any, Any]

    def draw(self, rng: np.random.Generator, *, n_way: int, n_items: int, n_tasks: int = 1) -> Any: ...

    def draw_images(self, rng: np.random.Generator, n_images: int) -> tuple[Any, np.ndarray[Any, Any]]: ...


class Supply:
    """Samples training episodes, or images, of a source as tensors on the device.

    The same ones whatever the device.

    Parameters
    ----------
    source : EpisodeSource
    device : str
    resident : bool, optional
        Whether the images of the source are kept on the device as uint8, where a CPU would gain
        nothing; None for CUDA only.
    """

    def __init__(self, source: EpisodeSource, device: str, *, resident: bool | None = None) -> None:
        self._source = source
        self._device = device
        self._resident: tuple[_Indexed, Tensor] | None = None
        if resident is None:
            resident = device != "cpu"
        if resident and isinstance(source, _Indexed):
            size = len(source.classes) * source.images[0].nbytes
            if size <= MAX_RESIDENT_BYTES:
                self._resident = source, torch.as_tensor(source.images[source.classes], device=device)

    def sample(
        self, rng: np.random.Generator, *, n_way: int, k_shot: int, n_query_per_class: int, n_tasks: int = 1
    ) -> Episodes:
        """Draw episodes; parameters as `EpisodeSource.sample`."""
        if self._resident is None:
            batch = self._source.sample(
                rng, n_way=n_way, k_shot=k_shot, n_query_per_class=n_query_per_class, n_tasks=n_tasks
            )
            parts = (batch.support_x, batch.support_y, batch.query_x, batch.query_y)
            support_x, support_y, query_x, query_y = (torch.as_tensor(part, device=self._device) for part in parts)
            return support_x, support_y, query_x, query_y
        pool, images = self._resident
        x = self._gather(images, pool.draw(rng, n_way=n_way, n_items=k_shot + n_query_per_class, n_tasks=n_tasks))
        labels = torch.arange(n_way, device=self._device)
        return (
            x[:, :, :k_shot].flatten(1, 2),
            labels.repeat_interleave(k_shot).repeat(n_tasks, 1),
            x[:, :, k_shot:].flatten(1, 2),
            labels.repeat_interleave(n_query_per_class).repeat(n_tasks, 1),
        )

    def sample_images(self, rng: np.random.Generator, n_images: int) -> tuple[Tensor, Tensor]:
        """Draw images (n_images, *input) and their labels (n_images,).

        Parameters as `EpisodeSource.sample_images`.
        """
        if self._resident is None:
            x, labels = self._source.sample_images(rng, n_images)
            return torch.as_tensor(x, device=self._device), torch.as_tensor(labels, device=self._device)
        pool, images = self._resident
        drawn, labels = pool.draw_images(rng, n_images)
        return self._gather(images, drawn).flatten(0, 2), torch.as_tensor(labels, device=self._device)

    def _gather(self, resident: Tensor, drawn: Any) -> Tensor:
        """Return the images of `drawn` in [0, 1]: (n_tasks, n_way, n_items, *input)."""
        classes, items, turns = (
            torch.as_tensor(part, device=self._device) for part in (drawn.classes, drawn.items, drawn.turns)
        )
        images = resident[classes[:, :, None], items]
        # images that are not turned need not be square
        for turn in (1, 2, 3) if drawn.turns.any() else ():
            turned = torch.rot90(images, turn, (3, 4))
            images = torch.where((turns == turn).view(*turns.shape, *[1] * (images.dim() - 2)), turned, images)
        x = images.float().mul_(1 / 255)
        # grey pools have no axis of channels, colour pools have it last
        return x.unsqueeze(3) if x.dim() == 5 else x.movedim(-1, 3)


def shuffled(rng: np.random.Generator, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Put the rows (n_tasks, n, ...) of each task into a random order, labels with them."""
    order = torch.as_tensor(rng.random(y.shape[:2]).argsort(axis=1), device=y.device)
    rows = torch.arange(len(x), device=y.device)[:, None]
    return x[rows, order], y[rows, order]
