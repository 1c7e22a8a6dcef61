"""A score that is not a finite number is a failure, whatever was recorded.

Trials are refused such scores before they are recorded, but older versions stored them as "ok". No
row is changed: every reader sees them through `with_finite_scores`.
"""

from __future__ import annotations

__all__ = ["NON_FINITE_UNITS", "with_finite_scores", "with_finite_units"]

_LACKS = "(outcome = 'ok' AND (score IS NULL OR NOT isfinite(score)))"
_REASON = "'score is ' || coalesce(CAST(score AS VARCHAR), 'missing') || ', not a finite number'"

NON_FINITE_UNITS = (
    "coalesce(NOT isfinite(list_sum(scores)) AND len(list_filter(scores, lambda s: NOT isfinite(s))) > 0, false)"
)
"""SQL for whether any of ``scores`` is not finite.

A sum is finite only if each of its terms is; only where it is not is each of them looked at.
"""


def with_finite_scores(attempts: str) -> str:
    """Return the query of attempts in which those without a finite score have failed.

    Scores and standard deviations are finite or NULL.
    """
    return (
        f"SELECT * REPLACE (CASE WHEN {_LACKS} THEN 'failed' ELSE outcome END AS outcome,"
        f" CASE WHEN {_LACKS} THEN 'NonFiniteScore' ELSE error_type END AS error_type,"
        f" CASE WHEN {_LACKS} THEN {_REASON} ELSE error_message END AS error_message,"
        " CASE WHEN isfinite(score) THEN score END AS score,"
        f" CASE WHEN isfinite(score_sd) THEN score_sd END AS score_sd) FROM ({attempts})"
    )


def with_finite_units(attempts: str) -> str:
    """Return the query of a table of attempts with their scores per unit, as the column ``scores``.

    Attempts with a unit whose score is not finite have failed. Leaderboards do not read these
    scores: a mean over such a unit is not finite either.
    """
    wrong = f"(outcome = 'ok' AND {NON_FINITE_UNITS})"
    return (
        f"SELECT * REPLACE (CASE WHEN {wrong} THEN 'failed' ELSE outcome END AS outcome,"
        f" CASE WHEN {wrong} THEN 'scores of units are not finite numbers' ELSE error_message END AS error_message,"
        f" CASE WHEN {wrong} OR scores IS NULL THEN [] ELSE scores END AS scores)"
        f" FROM (SELECT * FROM {attempts} LEFT JOIN unit_scores USING (attempt_key))"
    )
