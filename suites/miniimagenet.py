"""miniImageNet: 100 classes of ImageNet, 600 colour images of 84 x 84 each, split 64 / 16 / 20.

The split is that of Ravi & Larochelle.

The images may not be passed on and are not to be downloaded by a program, so they are read as users
have them (see `_miniimagenet_files` and docs/data.md). Images of another size are scaled with
Lanczos' filter, as MAML's code does.

References
----------
Vinyals et al. 2016, arXiv:1606.04080; Ravi & Larochelle 2017, Optimization as a model for few-shot
learning, ICLR (the split).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from benchbench.contracts.loading import Progress
from benchbench.suites._image_duplicates import ACCEPTED, refuse_duplicates
from benchbench.suites._image_loader import ImageLoader, Images
from benchbench.suites._miniimagenet_files import find_layout

__all__ = ["MiniImageNetLoader"]


class MiniImageNetLoader(ImageLoader):
    """Photographs of 100 kinds of things."""

    name = "miniimagenet"
    n_classes: ClassVar[Mapping[str, int]] = {"train": 64, "val": 16, "test": 20}
    n_per_class = 600
    side = 84
    version = 2

    def read(self, progress: Progress) -> tuple[Mapping[str, Images], str]:
        """See the base class; minutes if there are 60,000 files to decode."""
        layout = find_layout()
        layout.check()
        parts = {part: layout.read(part, self, progress) for part in self.n_classes}
        if n_accepted := refuse_duplicates(parts, layout.folder, self.name):
            progress(f"{self.name}: {n_accepted} images are copies of others, as {ACCEPTED} says")
        return parts, layout.title
