"""Filters of boards: by what is recorded of a trial, and by what the cards of methods say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchbench.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from benchbench.cards import MethodCard
    from benchbench.stats.trials import Cell

__all__ = ["FILTERS", "Filter", "card_tags", "filter_cells", "parse_filters"]

_CARD_FIELDS = ("track", "family", "year", "deterministic", "ordered", "batched", "name", "title", "paper")
FILTERS = (*_CARD_FIELDS, "tag", "kind", "meta_trained", "transductive", "hardware")
"""Keys of filters.

Most are fields of the methods' cards. `tag` is a family, kind of task, track or another word of
`card_tags`. `kind` is a kind of task that the method can handle. `meta_trained` says whether the
method is meta-trained. `transductive` and `hardware` are as recorded with the trials.
"""
_WORDS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Filter:
    """A key of `FILTERS` and the values that pass, compared without regard to case."""

    key: str
    values: tuple[str, ...]

    @property
    def label(self) -> str:
        """As it was typed."""
        return f"{self.key}={','.join(self.values)}"

    def passes(self, cell: Cell, card: MethodCard | None) -> bool:
        """Whether trials stay on the leaderboard.

        Trials of methods without a card fail every filter that reads the card.
        """
        if self.key == "transductive":
            return any(_flag(self, value) == cell.transductive for value in self.values)
        if self.key == "hardware":
            # a cell whose trials ran on several machines passes only if all of them are wanted
            wanted = [value.casefold() for value in self.values]
            return bool(cell.hardware) and all(any(w in h.casefold() for w in wanted) for h in cell.hardware)
        if card is None:
            return False
        found = _of_card(card, self.key)
        if isinstance(found, bool):
            return any(_flag(self, value) == found for value in self.values)
        mine = {str(one).casefold() for one in (found if isinstance(found, (tuple, list, set)) else [found])}
        return any(value.casefold() in mine for value in self.values)


def _flag(one: Filter, value: str) -> bool:
    if value.casefold() not in _WORDS:
        raise InputError(f"--filter {one.label}: expected {one.key}=yes or {one.key}=no")
    return _WORDS[value.casefold()]


def _of_card(card: MethodCard, key: str) -> Any:
    if key == "tag":
        return card_tags(card)
    if key == "kind":
        return card.tasks
    if key == "meta_trained":
        return any(card.iterations.values())
    return getattr(card, key)


def card_tags(card: MethodCard) -> set[str]:
    """Return the words that a method can be filtered by.

    They are its family, kinds of tasks, track and declared properties.
    """
    flags = {
        "transductive": card.transductive,
        "ordered": card.ordered,
        "batched": card.batched,
        "deterministic": card.deterministic,
        "meta-trained": any(card.iterations.values()),
        "own-environment": bool(card.requirements),
    }
    return {card.track, card.family, *card.tasks, *(name for name, is_set in flags.items() if is_set)}


def parse_filters(texts: Iterable[str]) -> list[Filter]:
    """Read ``key=value`` or ``key=value,value``; several filters must all pass.

    Raises
    ------
    InputError, UnknownNameError
        On a filter without a value, or a key that is not among `FILTERS`.
    """
    found = []
    for text in texts:
        key, equals, value = text.partition("=")
        key, values = key.strip().replace("-", "_"), tuple(v.strip() for v in value.split(",") if v.strip())
        if not equals or not values:
            raise InputError(f"--filter {text!r}: expected KEY=VALUE, as in family=metric; keys: {', '.join(FILTERS)}")
        if key not in FILTERS:
            raise UnknownNameError("filter", key, FILTERS)
        found.append(Filter(key, values))
    return found


def filter_cells(
    filters: Sequence[Filter], cells: Iterable[Cell], cards: Mapping[str, MethodCard]
) -> tuple[Callable[[Cell], bool], list[str]]:
    """Return what decides whether a cell stays, and what the filters leave out, in words.

    Raises
    ------
    InputError
        If a value is none that the key can have, or nothing passes.
    """

    def keep(cell: Cell) -> bool:
        return all(one.passes(cell, cards.get(cell.method)) for one in filters)

    cells = list(cells)
    lines = []
    for one in filters:
        gone = sorted({c.label for c in cells if not one.passes(c, cards.get(c.method))})
        bare = sorted({c.label for c in cells if c.method not in cards and c.label in gone})
        if gone and one.key == "hardware":
            lines.append(f"trials of {', '.join(gone)} on other hardware, or on several kinds: --filter {one.label}")
        elif gone:
            unknown = f" (no card is known of {', '.join(bare)})" if bare and one.key != "transductive" else ""
            lines.append(f"{', '.join(gone)}: --filter {one.label}{unknown}")
    if cells and filters and not any(keep(c) for c in cells):
        raise InputError(
            f"no result passes {' and '.join('--filter ' + one.label for one in filters)}{_values(filters, cells, cards)}"
        )
    return keep, lines


def _values(filters: Sequence[Filter], cells: Sequence[Cell], cards: Mapping[str, MethodCard]) -> str:
    """Name the values that would pass something, of the first filter that nothing passes."""
    for one in filters:
        if any(one.passes(c, cards.get(c.method)) for c in cells) or one.key in ("title", "paper"):
            continue
        if one.key == "hardware":
            known = {h for c in cells for h in c.hardware}
        elif one.key == "transductive":
            known = {"yes" if c.transductive else "no" for c in cells}
        else:
            known = set()
            for card in {id(cards[c.method]): cards[c.method] for c in cells if c.method in cards}.values():
                value = _of_card(card, one.key)
                many = value if isinstance(value, (tuple, list, set)) else [value]
                known |= {("yes" if v else "no") if isinstance(v, bool) else str(v) for v in many}
        return f"; {one.key} is one of: {', '.join(sorted(known)) or 'nothing known'}"
    return ""
