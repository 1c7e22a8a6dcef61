"""Methods of a leaderboard by the names that users give."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from benchbench.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from benchbench.stats.leaderboard import Leaderboard, Row

__all__ = ["find_label", "set_anchor"]


def find_label(text: str, board: Leaderboard) -> Row:
    """Return a row of the method with that label.

    A name alone stands for the method with default parameters, or else for its only variant.

    Raises
    ------
    UnknownNameError
        If there is no such method.
    InputError
        If several variants have the name.
    """
    from benchbench.registry import parse_method
    from benchbench.results.spellings import normal_or_recorded
    from benchbench.spec import canonical_json

    rows = {r.label: r for r in board.rows}
    if text in rows:
        return rows[text]
    named = [label for label, r in rows.items() if r.method == text]
    if len(named) == 1:
        return rows[named[0]]
    if named:
        raise InputError(
            f"{text!r} is on this leaderboard with several parameters; name one of: {', '.join(sorted(named))}"
        )
    if "(" in text:
        # the same parameters may be written in another way
        name, params = parse_method(text)
        wanted = canonical_json(normal_or_recorded(name, params))
        for r in rows.values():
            if r.method == name and r.params == wanted:
                return r
    raise UnknownNameError("method on this leaderboard:", text, rows)


def set_anchor(board: Leaderboard, text: str) -> None:
    """Anchor the Elo ratings of a leaderboard.

    Parameters
    ----------
    text : str
        METHOD=RATING, or METHOD for the usual mean rating.

    Raises
    ------
    UnknownNameError
        If there is no such method.
    InputError
        If the rating is no finite number, or the method is not ranked.
    """
    from benchbench.stats.elo import MEAN_RATING

    if not board.rows:
        return
    name, rating = text.strip(), MEAN_RATING
    # names hold "=" too, as in maml(inner_lr=0.1)
    if name not in board.methods and "=" in name:
        start, _, end = name.rpartition("=")
        if ")" not in end:
            name, rating = start.strip(), _rating(end, text)
    if not name:
        raise InputError(f"--anchor expects METHOD=RATING, got {text!r}")
    row = find_label(name, board)
    if row.label in board.imputed.unranked:
        raise InputError(f"--anchor: {row.label} has no rating, since every trial of it failed; name another method")
    board.anchor = (row.label, rating)


def _rating(number: str, text: str) -> float:
    try:
        rating = float(number)
    except ValueError:
        rating = math.nan
    if not math.isfinite(rating):
        raise InputError(f"--anchor expects METHOD=RATING with a finite number, such as 1000, got {text!r}")
    return rating
