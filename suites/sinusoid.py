"""Sine waves: MAML's few-shot regression, made on the fly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchbench.contracts.fewshot import FewShotTask, TaskInfo
from benchbench.contracts.loading import Progress, TaskLoader
from benchbench.spec import content_hash
from benchbench.suites._options import check_range, read_options
from benchbench.suites._pools import SinePool

__all__ = ["SinusoidLoader"]

VERSION = 1
"""Raised when other waves are drawn."""
MOST = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SinusoidOptions:
    """Options of the loader: points to learn from and to predict, and the test episodes' seed."""

    shot: int = 10
    query: int = 100
    seed: int = 0


class SinusoidLoader(TaskLoader):
    """Regression of sine waves of random amplitude and phase.

    The score is minus the mean squared error.
    """

    name = "sinusoid"
    track = "fewshot"

    def check(self, options: Mapping[str, Any]) -> None:
        """See the base class."""
        found = read_options(SinusoidOptions, options, self.name)
        check_range(self.name, "shot", found.shot, 1, MOST)
        check_range(self.name, "query", found.query, 1, MOST)

    def info(self, name: str, options: Mapping[str, Any]) -> TaskInfo:
        """See the base class."""
        self.check(options)
        found = read_options(SinusoidOptions, options, self.name)
        return TaskInfo(
            name=name,
            kind="regression",
            n_way=1,
            k_shot=found.shot,
            n_query=found.query,
            input_shape=SinePool.input_shape,
            n_outputs=1,
        )

    def prepare(self, options: Mapping[str, Any], progress: Progress) -> None:
        """Check the options: there are no data to prepare."""
        self.check(options)

    def fingerprint(self, options: Mapping[str, Any]) -> str:
        """See the base class."""
        self.check(options)
        found = read_options(SinusoidOptions, options, self.name)
        waves = {"amplitudes": SinePool.amplitudes, "phases": SinePool.phases, "inputs": SinePool.inputs}
        return content_hash({"loader": self.name, "version": VERSION, "waves": waves, "options": asdict(found)})

    def load(self, name: str, options: Mapping[str, Any]) -> FewShotTask:
        """See the base class."""
        return FewShotTask(
            info=self.info(name, options),
            train=SinePool(),
            validation=SinePool(),
            test=SinePool(),
            metric="neg_mse",
            seed=read_options(SinusoidOptions, options, self.name).seed,
        )
