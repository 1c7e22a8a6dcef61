"""`bench list`: suites, methods or tasks."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from benchbench.cli.common import FormatOption, print_json, print_table
from benchbench.errors import InputError, UnknownNameError

__all__ = ["list_things"]

KINDS = ("suites", "methods", "tasks")


def list_things(
    kind: Annotated[str, typer.Argument(help="suites, methods or tasks.")],
    suite: Annotated[str | None, typer.Option("--suite", help="Only tasks of this suite.")] = None,
    format_: FormatOption = "table",
) -> None:
    """List suites, methods or tasks."""
    if kind not in KINDS:
        raise UnknownNameError("list", kind, KINDS)
    if suite is not None and kind != "tasks":
        raise InputError("--suite applies only to `bench list tasks`")
    rows = {"suites": _suites, "methods": _methods}[kind]() if kind != "tasks" else _tasks(suite)
    if format_ == "json":
        print_json(rows)
        return
    columns = {
        "suites": ["name", "version", "track", "n_tasks", "title"],
        "methods": ["name", "track", "family", "year", "tasks", "transductive", "ordered", "title", "paper"],
        "tasks": ["name", "suite", "loader", "kind", "n_way", "k_shot", "n_query", "input_shape"],
    }[kind]
    # omit columns that are empty in every row
    columns = [c for c in columns if c in ("name", "suite") or any(row.get(c) is not None for row in rows)]
    print_table(columns, [[_cell(row.get(c)) for c in columns] for row in rows])
    if kind == "methods":
        _print_broken()


def _suites() -> list[dict[str, Any]]:
    from benchbench.suite_files import find_suite, list_suites

    rows = []
    for name in list_suites():
        suite = find_suite(name)
        rows.append(
            {
                "name": suite.name,
                "version": suite.version,
                "track": suite.track,
                "title": suite.title,
                "description": suite.description,
                "n_tasks": len(suite.tasks),
                "tasks": [t.name for t in suite.tasks],
                "presets": list(suite.presets),
                "default_preset": suite.default_preset,
                "generated_splits": suite.generated_splits,
                "baseline": suite.scores.baseline,
                "reference": suite.scores.reference,
            }
        )
    return rows


def _methods() -> list[dict[str, Any]]:
    from benchbench.registry import methods

    return [entry.card.to_dict() | {"module": entry.module} for _, entry in sorted(methods().items())]


def _print_broken() -> None:
    from benchbench.registry import broken_plugins

    for plugin in broken_plugins():
        sys.stdout.write(f"not usable: {plugin.where}: {plugin.error}\n")


def _tasks(suite: str | None) -> list[dict[str, Any]]:
    from benchbench.protocols.base import find_protocol
    from benchbench.registry import get_loader
    from benchbench.suite_files import find_suite, list_suites

    rows = []
    for name in [suite] if suite else list(list_suites()):
        found = find_suite(name)
        protocol = find_protocol(found.track)
        for task in found.tasks:
            loader = get_loader(task.loader)
            loader.check(task.options)
            facts = protocol.task_facts(task.name, task.loader, dict(task.options)) if protocol is not None else {}
            rows.append(
                {
                    "name": task.name,
                    "suite": found.name,
                    "loader": task.loader,
                    **facts,
                    "options": dict(task.options),
                    "baseline_score": task.baseline_score,
                    "reference_score": task.reference_score,
                }
            )
    return rows


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, list):
        return " x ".join(map(str, value)) if value and isinstance(value[0], int) else ", ".join(map(str, value))
    return "" if value is None else str(value)
