"""What is known of a method without importing anything heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["TRACKS", "MethodCard"]

TRACKS = ("fewshot", "automl", "hpo", "l2o", "selection")


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodCard:
    """A method's identity, source and declared properties.

    Parameters
    ----------
    name : str
        Unique over all methods, in snake_case; what users type.
    track : str
        One of `TRACKS`.
    title : str
        The method's name in print.
    summary : str
        One sentence: what it does.
    paper, url, year
        Citation ("Finn, Abbeel & Levine 2017, ICML"), its link (arXiv or DOI), its year.
    differs : str
        Where this implementation differs from its paper; empty if no difference is known.
    family : str
        For filters: "baseline", "metric", "gradient", "recurrent", ...
    tasks : tuple of str
        Task kinds it can handle: "classification", "regression".
    transductive : bool
        Whether predictions for one query use the other queries of its episode.
    ordered : bool
        Whether predictions depend on the order of the support examples (methods that read them as a
        sequence).
    batched : bool
        Whether it implements `predict_episodes`: many episodes at once, with the same results.
    deterministic : bool
        Whether the same seed gives the same scores on a CPU. Only wrapped libraries may declare
        False.
    devices : tuple of str
        "cpu", "cuda".
    iterations : mapping
        Meta-training iterations per preset (`quick`, `standard`, `paper`); 0 for methods without
        meta-training.
    published : mapping
        What the paper reports for the default parameters, by task name: accuracy in [0, 1],
        ``{"omniglot-maml-5w1s": 0.987}``. Only tasks with the paper's splits.
    requirements : str
        File of pinned requirements beside the adapter, if the method needs its own environment;
        empty: it runs in this one.
    known_failures : mapping
        Reasons by name of conformance check that is expected to fail. An unexpected pass is an
        error.

    Raises
    ------
    ValueError
        If a published figure is not an accuracy in (0, 1], for example one in per cent.
    """

    name: str
    track: str
    title: str
    summary: str
    paper: str
    url: str
    year: int
    differs: str = ""
    family: str = "baseline"
    tasks: tuple[str, ...] = ("classification",)
    transductive: bool = False
    ordered: bool = False
    batched: bool = False
    deterministic: bool = True
    devices: tuple[str, ...] = ("cpu", "cuda")
    iterations: Mapping[str, int] = field(default_factory=dict)
    published: Mapping[str, float] = field(default_factory=dict)
    requirements: str = ""
    known_failures: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for task, value in self.published.items():
            if not 0 < value <= 1:
                raise ValueError(
                    f"card of {self.name!r}: published[{task!r}] is {value}; expected an accuracy in (0, 1]"
                )

    def to_dict(self) -> dict[str, Any]:
        """Return the card as plain JSON-able data."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for name, value in plain.items():
            if isinstance(value, tuple):
                plain[name] = list(value)
            elif isinstance(value, Mapping):
                plain[name] = dict(value)
        return plain
