"""Figures of results: data in, a matplotlib figure out.

Nothing here reads a database or knows a method.
"""

from benchbench.plots._canvas import check_target, figure_bytes, write_figure
from benchbench.plots.anytime import anytime_figure
from benchbench.plots.critical_difference import critical_difference, critical_difference_figure
from benchbench.plots.curves import curves_figure
from benchbench.plots.heatmap import heatmap, heatmap_figure
from benchbench.plots.pareto import pareto_figure
from benchbench.plots.ratings import values_figure, win_rate_figure

__all__ = [
    "anytime_figure",
    "check_target",
    "critical_difference",
    "critical_difference_figure",
    "curves_figure",
    "figure_bytes",
    "heatmap",
    "heatmap_figure",
    "pareto_figure",
    "values_figure",
    "win_rate_figure",
    "write_figure",
]
