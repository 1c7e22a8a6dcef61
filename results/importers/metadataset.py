"""Meta-Dataset's published tables.

Triantafillou et al. 2020, arXiv:1903.03096; README.md of google-research/meta-dataset.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from benchbench.errors import InputError
from benchbench.results.importers.published_rows import PublishedResult, PublishedSuite, number, text_of
from benchbench.stats.intervals import t_quantile

__all__ = ["N_EPISODES", "read_metadataset"]

N_EPISODES = 600
"""The minimum that the tables require; their cells do not give the number."""

_CELL = re.compile(r"^(?P<score>-?[\d.]+)\s*(?:±|\+-)\s*(?P<width>[\d.]+)\s*(?:\((?P<rank>[\d.]+)\))?$")


def read_metadataset(path: Path, suite: str) -> list[PublishedSuite]:
    """Read tables of accuracies in per cent, with 95 % half-widths and ranks in brackets.

    Scores are accuracies in [0, 1]. The standard deviation is computed from the published interval
    for `N_EPISODES` episodes. Half-width and rank are stored as the metrics `published_ci95` and
    `published_rank`.

    Parameters
    ----------
    path : Path
        Markdown file; each table has its own heading.
    suite : str
        Each table becomes the suite ``suite-heading``.

    Raises
    ------
    InputError
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    heading, tables = "", {}
    header: list[str] = []
    for i, line in enumerate(lines, 1):
        where = f"{path}, line {i}"
        cells = [_plain(cell) for cell in line.strip().strip("|").split("|")]
        if line.startswith("#"):
            heading, header = line.lstrip("#").strip(), []
        elif len(cells) > 2 and cells[0].lower() == "method":
            header = cells
            name = f"{suite}-{re.sub(r'[^a-z0-9]+', '-', heading.lower()).strip('-')}"
            if name in tables:
                raise InputError(f"{where}: a second table under the heading {heading!r}")
            tables[name] = list[PublishedResult]()
        elif header and len(cells) > 1 and not set(line) <= set("-|: "):
            if len(cells) != len(header):
                raise InputError(f"{where}: {len(cells)} cells, expected {len(header)} as in the header")
            tables[name] += _row(header, cells, where)
        elif not line.strip() and header and tables[name]:
            header = []
    if not tables:
        raise InputError(f"{path} has no table whose first column is Method")
    return [PublishedSuite(name=name, track="fewshot", results=results) for name, results in tables.items()]


def _plain(cell: str) -> str:
    return " ".join(cell.replace("&nbsp;", " ").replace("**", "").split())


def _row(header: list[str], cells: list[str], where: str) -> list[PublishedResult]:
    # the numbers in double brackets are references, not part of the name
    method = text_of(re.sub(r"\s*\[+\d+\](?:,\s*\[\d+\])*\]*\s*$", "", cells[0]), "Method", where)
    found = []
    for task, cell in list(zip(header, cells, strict=True))[1:]:
        if task.lower() == "avg rank" or not cell or cell == "-":
            continue
        match = _CELL.match(cell)
        if match is None:
            raise InputError(f"{where}: {task} has {cell!r}, expected a text like '41.03±1.01 (15)'")
        score, width, rank = (number(match[name], task, where) for name in ("score", "width", "rank"))
        if score is None or width is None or not 0 <= score <= 100:
            raise InputError(f"{where}: {task} has {cell!r}, expected an accuracy in per cent")
        found.append(
            PublishedResult(
                method=method,
                task=task,
                unit=0,
                status="ok",
                score=score / 100,
                metric="accuracy",
                where=where,
                unit_name="episode",
                sd=width / 100 * math.sqrt(N_EPISODES) / t_quantile(N_EPISODES - 1),
                n_units=N_EPISODES,
                metrics={"published_ci95": width / 100} | ({} if rank is None else {"published_rank": rank}),
            )
        )
    return found
