"""The frame of a meta-training: its curve, its final parameters, and how it resumes."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from benchbench.methods.fewshot._memory import keep_memory
from benchbench.methods.fewshot._reporting import Reporter

if TYPE_CHECKING:
    import numpy as np

    from benchbench.contracts.context import Budget
    from benchbench.contracts.fewshot import EpisodeSource, FewShotAdapter

__all__ = ["MetaTraining"]


class _Stateful(Protocol):
    """A module, an optimiser or a schedule."""

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state_dict: Any) -> Any: ...


class MetaTraining:
    """Counts the iterations of a meta-training, reports them, and offers a checkpoint after each.

    Used as::

        training = MetaTraining(
            self, validation, budget=budget, rng=rng, parts=[network, optimiser], selects=network
        )
        for iteration in training.iterations():
            loss = ...
            training.after(iteration, loss)
        training.finish()

    Parameters
    ----------
    adapter : FewShotAdapter
        After `setup`.
    validation : EpisodeSource
    budget : Budget
    rng : numpy Generator
        Draws the episodes. Other randomness may come from torch's own generators, seeded in
        `setup`.
    parts : sequence of modules, optimisers, schedules and tensors
        All that an iteration changes and a later one reads. Tensors must be changed in place.
    selects : Module, optional
        Ends with the parameters that did best on validation, the later ones in a tie
        (validation accuracy saturates near 1 on Omniglot); without it the last ones stay.
    **reporting
        See `Reporter`.
    """

    def __init__(
        self,
        adapter: FewShotAdapter,
        validation: EpisodeSource,
        *,
        budget: Budget,
        rng: np.random.Generator,
        parts: Sequence[_Stateful | Tensor],
        selects: nn.Module | None = None,
        **reporting: Any,
    ) -> None:
        self._context, self._n_iterations = adapter.context, budget.iterations
        self._reporter = Reporter(adapter, validation, budget=budget, **reporting)
        self._rng, self._parts, self._selects = rng, list(parts), selects
        self._best = float("-inf")
        self._kept: Mapping[str, Any] | None = None

    def iterations(self) -> Iterator[int]:
        """Yield the numbers of the iterations, from 1, or after those of an interrupted process."""
        keep_memory()
        earlier = self._context.last_checkpoint()
        done = 0 if earlier is None else self._go_on(earlier)
        yield from range(done + 1, self._n_iterations + 1)

    def after(self, iteration: int, loss: float) -> None:
        """Take note of the end of an iteration and of its training loss."""
        score = self._reporter.after(iteration, loss)
        if self._selects is not None and score is not None and score >= self._best:
            self._best, self._kept = score, copy.deepcopy(self._selects.state_dict())
        self._context.progress(iteration, self._n_iterations)
        self._context.checkpoint(lambda: self._checkpoint(iteration))

    def finish(self) -> None:
        """Put the selected parameters in place."""
        if self._selects is not None and self._kept is not None:
            self._selects.load_state_dict(self._kept)

    def _checkpoint(self, iteration: int) -> bytes:
        found = {
            "iteration": iteration,
            "rng": self._rng.bit_generator.state,
            "torch_rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state() if self._context.device == "cuda" else None,
            "losses": self._reporter.losses,
            "best": self._best,
            "kept": self._kept,
            "parts": [part if isinstance(part, Tensor) else part.state_dict() for part in self._parts],
        }
        buffer = io.BytesIO()
        torch.save(found, buffer)
        return buffer.getvalue()

    def _go_on(self, earlier: bytes) -> int:
        """Restore a checkpoint; return how many iterations it had done."""
        # parts put what is theirs on their device; Adam's counts of steps stay on the CPU
        found = torch.load(io.BytesIO(earlier), map_location="cpu", weights_only=True)
        self._rng.bit_generator.state = found["rng"]
        torch.set_rng_state(found["torch_rng"])
        if found["cuda_rng"] is not None:
            torch.cuda.set_rng_state(found["cuda_rng"])
        self._reporter.losses[:] = found["losses"]
        self._best, self._kept = found["best"], found["kept"]
        for part, state in zip(self._parts, found["parts"], strict=True):
            if isinstance(part, Tensor):
                with torch.no_grad():
                    part.copy_(state)
            else:
                part.load_state_dict(state)
        return int(found["iteration"])
