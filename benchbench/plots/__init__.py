"""Figures of results: data in, a matplotlib figure out. Nothing here reads a database or knows a method."""

from benchbench.plots._canvas import check_target, write_figure
from benchbench.plots.anytime import anytime_figure
from benchbench.plots.curves import curves_figure
from benchbench.plots.pareto import pareto_figure

__all__ = ["anytime_figure", "check_target", "curves_figure", "pareto_figure", "write_figure"]
