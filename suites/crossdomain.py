"""Trains on one kind of drawing and tests on another: glyphs (printed), Omniglot (handwritten).

Omniglot has Vinyals' split.

Training and validation classes are those of one loader, test episodes those of the other, the very
same ones that its own tasks have. So a result can be set beside the one within the domain, and what
moving costs is their difference.

Some letters are on both sides, drawn in another way: of glyphs' training scripts Omniglot's test
alphabets hold Old Church Slavonic; Omniglot's training and validation alphabets hold letters of the
Canadian syllabics, Arabic, Hebrew and Armenian scripts, on which glyphs tests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchbench.contracts.fewshot import FewShotTask, TaskInfo
from benchbench.contracts.loading import Progress, TaskLoader
from benchbench.errors import InputError, suggest
from benchbench.spec import content_hash
from benchbench.suites._options import read_options
from benchbench.suites.glyphs import GlyphsLoader
from benchbench.suites.omniglot import OmniglotLoader

__all__ = ["CrossDomainLoader"]

DOMAINS: Mapping[str, tuple[TaskLoader, Mapping[str, Any]]] = {
    "glyphs": (GlyphsLoader(), {}),
    "omniglot": (OmniglotLoader(), {"split": "vinyals"}),
}
"""Loader of each domain, and its options besides the shape of episodes; all give grey images of 28
x 28, ink is 1.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossDomainOptions:
    """Options of the loader: two names of `DOMAINS`.

    `query` is per class at test, `seed` fixes the test episodes.
    """

    train: str
    test: str
    way: int
    shot: int
    query: int
    seed: int = 0


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two loaders, with the options that it gets."""

    loader: TaskLoader
    options: Mapping[str, Any]


class CrossDomainLoader(TaskLoader):
    """Classes of one domain to learn from, of another to be tested on."""

    name = "crossdomain"
    track = "fewshot"

    def check(self, options: Mapping[str, Any]) -> None:
        """See the base class."""
        self._sides(options)

    def info(self, name: str, options: Mapping[str, Any]) -> TaskInfo:
        """See the base class."""
        _, test = self._sides(options)
        info: TaskInfo = test.loader.info(name, test.options)
        return info

    def prepare(self, options: Mapping[str, Any], progress: Progress) -> None:
        """See the base class; what its own tasks have prepared is used."""
        for side in self._sides(options):
            side.loader.prepare(side.options, progress)

    def fingerprint(self, options: Mapping[str, Any]) -> str:
        """See the base class."""
        _, test = self._sides(options)
        training = self.training_fingerprint(options)
        return content_hash({"loader": self.name, "train": training, "test": test.loader.fingerprint(test.options)})

    def training_fingerprint(self, options: Mapping[str, Any]) -> str | None:
        """See the base class; the same as that of the training domain's own tasks."""
        train, _ = self._sides(options)
        return train.loader.training_fingerprint(train.options)

    def load(self, name: str, options: Mapping[str, Any]) -> FewShotTask:
        """See the base class."""
        train, test = (side.loader.load(name, side.options) for side in self._sides(options))
        return FewShotTask(
            info=test.info,
            train=train.train,
            validation=train.validation,
            test=test.test,
            metric=test.metric,
            seed=test.seed,
        )

    def folders(self, options: Mapping[str, Any]) -> Sequence[Path]:
        """See the base class."""
        return [folder for side in self._sides(options) for folder in side.loader.folders(side.options)]

    def _sides(self, options: Mapping[str, Any]) -> tuple[_Side, _Side]:
        """Return what trains and what tests; both accept the shape of the episodes."""
        found = read_options(CrossDomainOptions, options, self.name)
        shape = {"way": found.way, "shot": found.shot, "query": found.query, "seed": found.seed}
        sides = []
        for option, domain in (("train", found.train), ("test", found.test)):
            if domain not in DOMAINS:
                raise InputError(f"option {option!r} of loader {self.name!r} is {domain!r}{suggest(domain, DOMAINS)}")
            loader, own = DOMAINS[domain]
            sides.append(_Side(loader, {**own, **shape}))
            sides[-1].loader.check(sides[-1].options)
        if found.train == found.test:
            raise InputError(
                f"loader {self.name!r} trains and tests on {found.train!r}; name two domains, or use loader {found.train!r}"
            )
        train, test = sides
        return train, test
