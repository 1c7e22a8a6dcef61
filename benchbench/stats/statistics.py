"""The registry of statistics that rank methods.

Each is one object that defines how it is computed and shown. Importing this module is cheap: only
computations import numpy.

Intervals come from a bootstrap over tasks: they show how much a value would vary over other tasks
of the same kind. The scores on each task are fixed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from benchbench.errors import InputError, suggest
from benchbench.stats.intervals import FEW_TASKS, t_quantile
from benchbench.stats.labels import number_text

if TYPE_CHECKING:
    from benchbench.stats.imputation import ImputedTable
    from benchbench.stats.table import FloatArray, ScoreTable

__all__ = [
    "N_BOOTSTRAP",
    "STATISTICS",
    "Options",
    "Statistic",
    "StatisticValue",
    "few_tasks",
    "find_statistic",
    "rank_values",
    "statistic_values",
    "task_values",
]

N_BOOTSTRAP = 200
"""Resamples of the tasks per interval."""
PRIOR_DRAWS = 1.0
"""Imagined draws per method in Elo, spread evenly over its opponents."""
# imagined draws in resamples if the ratings themselves are plain maximum likelihood
LEAST_PRIOR_DRAWS = 0.01
# bound of (resamples, M, M) arrays, of which some five exist at a time; small ones stay in cache
_PAIRS_AT_ONCE = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What some statistics need in addition to scores.

    Parameters
    ----------
    baseline, reference : str, optional
        For "norm": methods of the table at 0 and 1.
    ends : mapping of task to (baseline score, reference score)
        For "norm": frozen scores, which take precedence over the methods.
    perfect : mapping of task to score
        For "improvability": score of a perfect prediction.
    prior_draws : float
        For "elo".
    anchor : (method, rating), optional
        For "elo": a method of the table and its rating, in place of a mean of 1000.
    """

    baseline: str | None = None
    reference: str | None = None
    ends: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    perfect: Mapping[str, float] = field(default_factory=dict)
    prior_draws: float = PRIOR_DRAWS
    anchor: tuple[str, float] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Computed:
    """Values (M,), and a function from (B, T) weights of resampled tasks to (B, M) values."""

    values: FloatArray
    n_tasks: FloatArray
    n_all_tasks: int
    resample: Callable[[FloatArray], FloatArray]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """A statistic over the tasks of a table.

    Parameters
    ----------
    name : str
        Name in options and URLs.
    title : str
        Name for people, as within a sentence.
    help : str
        Definition in one sentence without a full stop.
    higher_is_better : bool
    lowest : float
        Lower bound of a value.
    highest : float or None
        Upper bound of a value; None: the number of methods, for mean ranks.
    digits : int
        Digits shown after the point.
    is_share : bool
        Whether pages show it in per cent.
    needs_pairs : bool
        Whether a single method has no value.
    compute : callable
        `compute(table, options)` returns the values and how to resample them.
    per_task : callable
        `per_task(table, options)` returns (M, T) values per task, and notes.
    """

    name: str
    title: str
    help: str
    higher_is_better: bool
    lowest: float = -math.inf
    highest: float | None = math.inf
    digits: int = 3
    is_share: bool = False
    needs_pairs: bool = False
    compute: Callable[[ScoreTable, Options], Computed]
    per_task: Callable[[ScoreTable, Options], tuple[FloatArray, tuple[str, ...]]]

    @property
    def heading(self) -> str:
        """The title, capitalised."""
        return f"{self.title[:1].upper()}{self.title[1:]}"

    @property
    def direction(self) -> str:
        """Which values are better, in words."""
        return "higher is better" if self.higher_is_better else "lower is better"

    def text(self, value: float | None) -> str:
        """Return a value with the statistic's digits; "" for None."""
        return "" if value is None else number_text(value, self.digits)

    def bounds(self, n_methods: int) -> tuple[float, float]:
        """Return the bounds of a value among `n_methods` methods."""
        return self.lowest, float(n_methods) if self.highest is None else self.highest


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticValue:
    """A method's value and rank by one statistic.

    Parameters
    ----------
    method : str
        Label.
    value : float or None
        None if the statistic is undefined for the method (no task, or none with both ends of the
        scale), or if every trial failed.
    low, high : float or None
        Ends of the interval; None for fewer than two tasks.
    rank : float or None
        1 is best; equal values share their mean rank.
    n_tasks : int
        Tasks behind the value.
    imputed_share : float
        Share of imputed scores behind it.
    notes : tuple of str
    """

    method: str
    value: float | None
    low: float | None = None
    high: float | None = None
    rank: float | None = None
    n_tasks: int = 0
    imputed_share: float = 0.0
    notes: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def find_statistic(name: str) -> Statistic:
    """Return the statistic of that name.

    Raises
    ------
    InputError
    """
    if name not in STATISTICS:
        raise InputError(f"unknown statistic {name!r}; expected {', '.join(STATISTICS)}{suggest(name, STATISTICS)}")
    return STATISTICS[name]


def statistic_values(
    imputed: ImputedTable | ScoreTable,
    statistic: str,
    options: Options | None = None,
    *,
    n_bootstrap: int = N_BOOTSTRAP,
    seed: int = 0,
    level: float = 0.95,
) -> list[StatisticValue]:
    r"""Return the methods by one statistic, best first, those without a value last.

    Parameters
    ----------
    imputed : ImputedTable or ScoreTable
    statistic : str
        One of `STATISTICS`.
    options : Options, optional
    n_bootstrap : int
        Resamples of the tasks; 0: no intervals. Elo fits all ratings again in each.
    seed : int
    level : float
        Level of the interval.

    Raises
    ------
    InputError, UnknownNameError

    Notes
    -----
    A method whose every trial failed is not ranked, and the others are ranked without it.

    The interval is the percentile interval over `n_bootstrap` resamples of the T tasks with
    replacement, stretched about the estimate by :math:`\sqrt{T / (T - 1)}\, t_{T-1} / z`, and
    clipped to the statistic's bounds. Without stretching it is too narrow for few tasks: a 95 %
    interval of a mean over five tasks covers it in about 82 % of cases. (Hesterberg 2015,
    doi:10.1080/00031305.2015.1089789, section 4.3, stretches the quantiles' levels instead, which
    needs far more resamples.)
    """
    import numpy as np

    from benchbench.stats.table import ScoreTable

    kind = find_statistic(statistic)
    if not 0 < level < 1 or n_bootstrap < 0:
        raise InputError(f"expected a level between 0 and 1 and 0 or more resamples, got {level} and {n_bootstrap}")
    if isinstance(imputed, ScoreTable):
        whole = table = imputed
        shares = dict.fromkeys(whole.methods, 0.0)
    else:
        whole, table = imputed.table, imputed.ranked()
        shares = dict(zip(whole.methods, imputed.shares().tolist(), strict=True))
    computed = kind.compute(table, options or Options())
    low, high = _intervals(computed, kind, n_bootstrap, seed, level)
    ranks = rank_values(computed.values, kind)
    cautions = () if np.isnan(low).all() else few_tasks(computed.n_all_tasks)
    found = [
        StatisticValue(
            method=method,
            value=_number(computed.values[i]),
            low=_number(low[i]),
            high=_number(high[i]),
            rank=_number(ranks[i]),
            n_tasks=int(computed.n_tasks[i]),
            imputed_share=shares[method],
            notes=(*computed.notes, *cautions, *_own_notes(table, i, int(computed.n_tasks[i]))),
        )
        for i, method in enumerate(table.methods)
    ]
    found += [
        StatisticValue(method=method, value=None, imputed_share=1.0, notes=(NOT_RANKED,))
        for method in set(whole.methods) - set(table.methods)
    ]
    return sorted(found, key=lambda s: (s.rank is None, s.rank or 0.0, s.method))


NOT_RANKED = "not ranked: every trial failed"


def few_tasks(n_tasks: int) -> tuple[str, ...]:
    """Return the caution for intervals over few tasks, if needed."""
    if n_tasks >= FEW_TASKS:
        return ()
    return (
        f"With only {n_tasks} tasks, bootstrap intervals are unreliable; non-overlap is not evidence of a difference.",
    )


def task_values(
    imputed: ImputedTable | ScoreTable, statistic: str, options: Options | None = None
) -> tuple[FloatArray, tuple[str, ...]]:
    """Return (M, T) values per task, for heat maps and paired tests, and notes.

    "elo" has no value of a single task; the points on a task ("winrate") take its place.
    NaN for methods that are not ranked.
    """
    import numpy as np

    from benchbench.stats.table import ScoreTable

    kind, options = find_statistic(statistic), options or Options()
    if isinstance(imputed, ScoreTable):
        return kind.per_task(imputed, options)
    ranked = imputed.ranked()
    values, notes = kind.per_task(ranked, options)
    if ranked is not imputed.table:
        whole = np.full(imputed.table.shape[:2], np.nan)
        whole[[imputed.table.methods.index(m) for m in ranked.methods]] = values
        values = whole
    return values, notes


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _own_notes(table: ScoreTable, row: int, n_tasks: int) -> tuple[str, ...]:
    """Return a note on why a method has fewer tasks than the table."""
    from benchbench.stats.table import TrialState

    if n_tasks == len(table.tasks):
        return ()
    declined = int((table.states[row] == TrialState.DECLINED).any(axis=1).sum())
    what = f"{n_tasks}/{len(table.tasks)} tasks"
    return (f"{what}, {declined} declined" if declined else what,)


def rank_values(values: FloatArray, kind: Statistic) -> FloatArray:
    """Return the ranks (M,) of values: 1 = best, ties share their mean rank, NaN stays NaN."""
    import numpy as np

    from benchbench.stats.ranks import tied_ranks

    # sums in another order differ in the last digits, which must not break ties
    rounded = np.round(values, 9)
    return tied_ranks((rounded if kind.higher_is_better else -rounded)[:, None])[:, 0]


# --------------------------------------------------------------------------------------------------
# computations


def _ranks_on_tasks(table: ScoreTable, _: Options) -> tuple[FloatArray, tuple[str, ...]]:
    from benchbench.stats.ranks import tied_ranks

    return tied_ranks(table.task_scores()), ()


def _tie_aware_ranks_on_tasks(table: ScoreTable, _: Options) -> tuple[FloatArray, tuple[str, ...]]:
    """Compute Meta-Dataset's ranks; a score without an interval counts as exact."""
    import numpy as np

    from benchbench.stats.cell_numbers import CellNumbers
    from benchbench.stats.ranks import tie_aware_ranks

    numbers = CellNumbers.of(table)
    widths = np.where(np.isnan(numbers.ci95), 0.0, numbers.ci95)
    columns = [tie_aware_ranks(s.tolist(), w.tolist()) for s, w in zip(numbers.means.T, widths.T, strict=True)]
    bare = int((np.isnan(numbers.ci95) & ~np.isnan(numbers.means)).sum())
    notes = (f"{bare} scores have no interval and count as exact",) if bare else ()
    return np.array(columns, dtype=np.float64).reshape(numbers.means.T.shape).T, notes


def _wins_on_tasks(table: ScoreTable, _: Options) -> tuple[FloatArray, tuple[str, ...]]:
    import numpy as np

    from benchbench.stats.ranks import tied_ranks

    scores = table.task_scores()
    n = (~np.isnan(scores)).sum(axis=0)
    return np.where(n > 1, (n - tied_ranks(scores)) / np.maximum(n - 1, 1), np.nan), ()


def _reciprocal_ranks(table: ScoreTable, options: Options) -> tuple[FloatArray, tuple[str, ...]]:
    return 1.0 / _ranks_on_tasks(table, options)[0], ()


def _normalised(table: ScoreTable, options: Options) -> tuple[FloatArray, tuple[str, ...]]:
    from benchbench.stats.scales import normalised_scores

    return normalised_scores(table, baseline=options.baseline, reference=options.reference, ends=options.ends)


def _improvability(table: ScoreTable, options: Options) -> tuple[FloatArray, tuple[str, ...]]:
    from benchbench.stats.scales import improvability

    return improvability(table, perfect=options.perfect)


def _mean_of(
    per_task: Callable[[ScoreTable, Options], tuple[FloatArray, tuple[str, ...]]],
) -> Callable[[ScoreTable, Options], Computed]:
    """Return a function that computes a mean over tasks."""

    def compute(table: ScoreTable, options: Options) -> Computed:
        return _mean_over_tasks(*per_task(table, options))

    return compute


def _mean_over_tasks(values: FloatArray, notes: tuple[str, ...]) -> Computed:
    """Return the means of (M, T) values over the tasks with a value."""
    import numpy as np

    from benchbench.stats.table import mean_over_units

    present = (~np.isnan(values)).astype(np.float64)
    filled = np.where(present > 0, values, 0.0)

    def resample(weights: FloatArray) -> FloatArray:
        n = weights @ present.T
        return np.where(n > 0, (weights @ filled.T) / np.maximum(n, 1e-300), np.nan)

    return Computed(mean_over_units(values), present.sum(axis=1), values.shape[1], resample, notes)


def _mean_rank(table: ScoreTable, options: Options) -> Computed:
    r"""Compute mean ranks, comparing each two methods on the tasks that both have.

    .. math::

        \bar r_a = 1 + \sum_{b \ne a} \frac{1}{|T_{ab}|}
        \sum_{t \in T_{ab}} [s_{bt} > s_{at}] + \tfrac12 [s_{bt} = s_{at}]

    with :math:`T_{ab}` the common tasks. If every method has every task, this is the usual mean of
    ranks. Two methods without a common task count as tied.
    """
    return _over_pairs(table, options, is_rank=True)


def _win_rate(table: ScoreTable, options: Options) -> Computed:
    return _over_pairs(table, options, is_rank=False)


def _over_pairs(table: ScoreTable, options: Options, *, is_rank: bool) -> Computed:
    import numpy as np

    from benchbench.stats.wins import PairCounts

    scores = table.task_scores()
    is_known = ~np.isnan(scores)
    # drop tasks without any score: they must not force the comparison of all pairs
    is_met = is_known.any(axis=0)
    if is_known[:, is_met].all():
        # then the mean rank is the mean of the ranks, without comparing pairs
        if is_rank:
            return _mean_over_tasks(*_ranks_on_tasks(table, options))
        return _mean_over_tasks(*_wins_on_tasks(table, options))
    counts = PairCounts(scores)
    number_known = is_known.T.astype(np.float64)

    def resample(weights: FloatArray) -> FloatArray:
        beaten, n_others = counts.beaten(weights)
        values = 1.0 + n_others - beaten if is_rank else beaten / np.maximum(n_others, 1)
        here = weights @ number_known > 0
        return np.where(here if is_rank else here & (n_others > 0), values, np.nan)

    n_tasks = is_known.sum(axis=1).astype(np.float64)
    return Computed(resample(np.ones((1, len(table.tasks))))[0], n_tasks, len(table.tasks), resample)


def _elo(table: ScoreTable, options: Options) -> Computed:
    import numpy as np

    from benchbench.stats.elo import MEAN_RATING, POINTS_PER_UNIT, bradley_terry, chord_of, elo
    from benchbench.stats.wins import PairCounts

    scores = table.task_scores()
    counts = PairCounts(scores)
    wins = counts.wins(np.ones((1, len(table.tasks))))[0]
    met = (wins + wins.T).sum(axis=1) > 0
    start = bradley_terry(wins, prior_draws=options.prior_draws)
    # a resample may leave a method with only wins, even if the tasks themselves do not
    draws = max(options.prior_draws, LEAST_PRIOR_DRAWS)
    chord = chord_of(wins, start, prior_draws=draws)

    def resample(weights: FloatArray) -> FloatArray:
        ratings = elo(counts.wins(weights), prior_draws=draws, start=start, chord=chord)
        return ratings if row is None else ratings + (rating - ratings[:, row])[:, None]

    values = np.where(met, MEAN_RATING + start * POINTS_PER_UNIT, np.nan)
    n_tasks = (~np.isnan(scores)).sum(axis=1).astype(np.float64)
    row, rating, notes = _anchor_row(table, values, options)
    if row is not None:
        values = values + (rating - values[row])
    return Computed(values, n_tasks, len(table.tasks), resample, notes)


def _anchor_row(table: ScoreTable, values: FloatArray, options: Options) -> tuple[int | None, float, tuple[str, ...]]:
    """Return the row of the anchor, its rating, and notes; no row if it has no rating here."""
    if options.anchor is None:
        return None, math.nan, ()
    label, rating = options.anchor
    row = table.methods.index(label) if label in table.methods else None
    if row is None or math.isnan(values[row]):
        return None, math.nan, (f"not anchored: {label} has no rating here",)
    return row, rating, (f"anchored: {label} is {rating:g}; intervals are of the difference to it",)


def task_weights(n_tasks: int, n_bootstrap: int, seed: int) -> FloatArray:
    """Return how often (B, T) each task is drawn in each resample."""
    import numpy as np

    rng = np.random.default_rng(seed)
    return rng.multinomial(n_tasks, np.full(n_tasks, 1.0 / n_tasks), size=n_bootstrap).astype(np.float64)


def _intervals(
    computed: Computed, kind: Statistic, n_bootstrap: int, seed: int, level: float
) -> tuple[FloatArray, FloatArray]:
    """Return the ends (M,) of the stretched percentile intervals; NaN for fewer than two tasks."""
    import numpy as np

    nothing = np.full(computed.values.shape, np.nan)
    known = (computed.n_tasks >= 2) & ~np.isnan(computed.values)
    if n_bootstrap < 2 or not known.any():
        return nothing, nothing
    # with few tasks many resamples are equal: of 200 resamples of 4 tasks at most 35 differ
    weights, number = np.unique(task_weights(computed.n_all_tasks, n_bootstrap, seed), axis=0, return_inverse=True)
    at_once = max(1, _PAIRS_AT_ONCE // len(computed.values) ** 2)
    drawn = np.concatenate([computed.resample(weights[i : i + at_once]) for i in range(0, len(weights), at_once)])
    drawn = drawn[number]
    tail = (1.0 - level) / 2.0
    ends = np.full((2, len(computed.values)), np.nan)
    # the k-th of B resamples estimates the quantile k / (B + 1)
    ends[:, known] = np.nanquantile(drawn[:, known], [tail, 1.0 - tail], axis=0, method="weibull")
    normal = _normal_quantile(1.0 - tail)
    stretch = [
        math.sqrt(n / (n - 1)) * t_quantile(n - 1, 1.0 - tail) / normal if n >= 2 else math.nan
        for n in (int(count) for count in computed.n_tasks)
    ]
    low, high = computed.values + (ends - computed.values) * np.array(stretch)
    # no method ranks below the last of all ranked methods
    lowest, highest = kind.bounds(int((~np.isnan(computed.values)).sum()))
    return np.clip(low, lowest, highest), np.clip(high, lowest, highest)


def _normal_quantile(level: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(level)


_ALL = (
    Statistic(
        name="rank",
        title="mean rank",
        help="Mean over tasks of the rank, 1 = best; two methods are compared on the tasks that both have",
        higher_is_better=False,
        lowest=1.0,
        highest=None,
        digits=2,
        compute=_mean_rank,
        per_task=_ranks_on_tasks,
    ),
    Statistic(
        name="winrate",
        title="win rate",
        help="Mean over the other methods of the share of common tasks won; a tie counts as half a win",
        higher_is_better=True,
        lowest=0.0,
        highest=1.0,
        is_share=True,
        needs_pairs=True,
        compute=_win_rate,
        per_task=_wins_on_tasks,
    ),
    Statistic(
        name="norm",
        title="normalised score",
        help="Mean over tasks of the score on a scale from 0 = the suite's baseline to 1 = its reference",
        higher_is_better=True,
        compute=_mean_of(_normalised),
        per_task=_normalised,
    ),
    Statistic(
        name="improvability",
        title="improvability",
        help="Mean over tasks of (error - best error) / error; 0 = no method is better",
        higher_is_better=False,
        lowest=0.0,
        highest=1.0,
        is_share=True,
        compute=_mean_of(_improvability),
        per_task=_improvability,
    ),
    Statistic(
        name="elo",
        title="Elo",
        help="Bradley-Terry ratings from the wins on tasks, with one imagined draw per method; mean 1000, 400 points"
        " are odds of ten to one",
        higher_is_better=True,
        digits=0,
        needs_pairs=True,
        compute=_elo,
        per_task=_wins_on_tasks,
    ),
    Statistic(
        name="mrr",
        title="mean reciprocal rank",
        help="Mean over tasks of 1 / rank",
        higher_is_better=True,
        lowest=0.0,
        highest=1.0,
        compute=_mean_of(_reciprocal_ranks),
        per_task=_reciprocal_ranks,
    ),
    Statistic(
        name="tierank",
        title="tie-aware mean rank",
        help="Mean over tasks of Meta-Dataset's rank, which methods share whose 95 % intervals do not tell them from the"
        " best of the rest",
        higher_is_better=False,
        lowest=1.0,
        highest=None,
        digits=2,
        compute=_mean_of(_tie_aware_ranks_on_tasks),
        per_task=_tie_aware_ranks_on_tasks,
    ),
)
STATISTICS: Mapping[str, Statistic] = {s.name: s for s in _ALL}
"""All statistics by name, the default first."""
