"""What all commands have in common: help, names of formats, aliases and plain words."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from benchbench.cli import common
from benchbench.cli import main as cli
from benchbench.cli.common import FORMATS, check_format
from benchbench.cli.main import FORMER_COMMANDS, FORMER_OPTIONS, PANELS, app
from benchbench.errors import GateFailed, InputError

Bench = Callable[..., str]
Land = Callable[..., Path]

ROOT = Path(__file__).resolve().parents[2]
GROUP: Any = typer.main.get_command(app)
BANNED = (
    r"ended well",
    r"\bend(s|ed)? neither well",
    r"\b(seconds|MiB|threads|iterations|episodes) a trial\b",
    r"\b(one|table|page|panel|line|points) a (trial|task|track|method|factor)\b",
    r"\b(is|are) not there\b",
    r"\bwhat there is\b",
    r"\bgoes on\b",
    r"\bset beside\b",
    r"\bthe first first\b",
    r"\bto be had\b",
    r"\bnobody\b",
    r"\blacking\b",
)
"""Turns of phrase that the field does not use: "succeeded", "per", "missing", "continues" say it."""
WITHOUT_FORMAT = {"dashboard", "sample", "tabulate"}
"""Commands that print no results: they start a server, or fill a database or a folder."""


def walk() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command with its name in words, groups without their commands left out."""
    for name, command in GROUP.commands.items():
        inner = getattr(command, "commands", None)
        if inner is None:
            yield (name,), command
        else:
            for sub, one in inner.items():
                yield (name, sub), one


COMMANDS = dict(walk())


def options(command: Any) -> dict[str, Any]:
    return {name: p for p in command.params for name in p.opts if name.startswith("--")}


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_every_command_and_every_option_has_help(name: tuple[str, ...]) -> None:
    command = COMMANDS[name]
    summary = command.help.splitlines()[0]
    assert summary.endswith("."), "the first line is a sentence, and no more"
    assert len(summary) <= cli.WIDEST_HELP, "bench --help shows it whole"
    for parameter in command.params:
        text = parameter.help if hasattr(parameter, "help") else ""
        assert text, parameter.name
        assert text.endswith((".", "...")) or parameter.name == "paths", f"{parameter.name}: {text}"
    result = CliRunner().invoke(app, [*name, "--help"])
    assert (result.exit_code, result.exception) == (0, None)


def test_the_overview_shows_every_command_once_under_a_heading() -> None:
    text = CliRunner().invoke(app, ["--help"]).output
    for panel in PANELS:
        assert f"\n{panel}:\n" in text
    shown = re.findall(r"^  ([a-z][a-z-]*)  ", text, re.MULTILINE)
    assert sorted(shown) == sorted(GROUP.commands)
    assert text.count("...") == 1, "in the usage, and no description is cut off"


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_formats_are_of_the_one_list(name: tuple[str, ...]) -> None:
    """`markdown` worked in one command and was an error in another."""
    found = options(COMMANDS[name])
    if name[0] in WITHOUT_FORMAT:
        assert "--format" not in found
        return
    said = re.match(r"Output format: ([a-z, ]+)\.", found["--format"].help)
    assert said is not None
    offered = re.split(r", | or ", said[1])
    assert set(offered) <= set(FORMATS)
    assert offered == [f for f in FORMATS if f in offered], "in the order of the list"
    assert {"table", "json"} <= set(offered)
    assert found["--format"].default == "table"
    for wrong in ("yaml", "TABLE", "", *(f for f in FORMATS if f not in offered)):
        # refused before anything else is looked at
        error = CliRunner().invoke(app, [*name, "--format", wrong]).exception
        assert isinstance(error, InputError), wrong
        assert str(error) == f"--format expects {said[1]}, got {wrong!r}"
        assert error.exit_code == 2


def test_md_and_text_are_accepted_everywhere() -> None:
    assert (check_format("md", FORMATS), check_format("text", ("table", "json"))) == ("markdown", "table")
    with pytest.raises(InputError, match="--format expects table or json, got 'md'"):
        check_format("md", ("table", "json"))
    for command in COMMANDS.values():
        if (option := options(command).get("--format")) is not None:
            assert option.callback is not None
    text = CliRunner().invoke(app, ["list", "suites", "--format", "text"]).output
    assert text == CliRunner().invoke(app, ["list", "suites"]).output


def test_former_names_are_the_same_commands_and_not_shown() -> None:
    text = CliRunner().invoke(app, ["--help"]).output
    assert set(FORMER_COMMANDS) == {"compare", "compare-methods", "publish", "published", "runs", "show"}
    for old, new in FORMER_COMMANDS.items():
        context = GROUP.make_context("bench", ["--help-me-not"], resilient_parsing=True)
        _, command, rest = GROUP.resolve_command(context, [old, "x"])
        assert command is GROUP.commands[new]
        assert command.callback is COMMANDS[new,].callback
        assert rest == ["x"]
        assert old not in GROUP.commands
        assert not re.search(rf"^  {old}  ", text, re.MULTILINE)
    # of an option, wherever there is one of its new name
    assert FORMER_OPTIONS == {"profile": "preset"}
    n_presets = 0
    for name, command in COMMANDS.items():
        assert "--profile" not in options(command)
        if "--preset" in options(command):
            n_presets += 1
            rest = [a for p in command.params if p.param_type_name == "argument" for a in ("x",)]
            context = command.make_context(
                name[-1],
                ["--profile=mine", *rest],
                parent=GROUP.make_context("bench", list(name), resilient_parsing=True),
                resilient_parsing=True,
            )
            assert context.params["preset"] in ("mine", ["mine"])
    assert n_presets == 8


@pytest.mark.parametrize("former", [("compare",), ("regressions",)])
def test_the_gate_keeps_its_former_name_and_its_exit_codes(bench: Bench, land: Land, former: tuple[str]) -> None:
    """`bench compare BASE HEAD --fail-on-regression` is used in CI elsewhere and must keep its meaning."""
    base = land({"scores": [0.9, 0.91] * 20}, name="base")
    head = land({"scores": [0.1, 0.11] * 20}, name="head")
    bench(*former, base, head, "--fail-on-regression", raises=GateFailed)
    bench(*former, base, base, "--fail-on-regression")
    assert json.loads(bench(*former, base, head, "--format", "json"))[0]["verdict"] == "worse"
    # two methods are not taken for databases, nor the other way round
    result = CliRunner().invoke(app, [*former, "maml", "protonet"])
    assert isinstance(result.exception, InputError)
    assert "To compare two methods: bench versus maml protonet --suite SUITE" in str(result.exception)


def test_a_former_name_is_noted_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = ["runs", "--db", str(tmp_path / "none.duckdb")]
    quiet = CliRunner().invoke(app, command)
    assert quiet.stderr == ""

    monkeypatch.setattr(cli, "_is_terminal", lambda: True)
    loud = CliRunner().invoke(app, command)
    assert loud.stderr == "note: `bench runs` is called `bench history` now\n"
    assert loud.stdout == quiet.stdout
    assert CliRunner().invoke(app, ["history", *command[1:]]).stderr == ""


def texts() -> Iterator[tuple[str, str]]:
    """Yield every string in the code of the commands and of the errors, docstrings included, and where it stands."""
    folder = Path(common.__file__).parent
    for path in (*sorted(folder.glob("*.py")), folder.parent / "errors.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield f"{path.name}:{node.lineno}", node.value


def test_messages_are_in_plain_words() -> None:
    found = list(texts())
    assert len(found) > 500
    bad = [f"{where}: {text}" for where, text in found for banned in BANNED if re.search(banned, text)]
    assert bad == []


def test_no_message_names_a_former_command() -> None:
    names = "|".join(FORMER_COMMANDS)
    sources = [*(ROOT / "benchbench").rglob("*.py")]
    for folder in ("results", "reports", "dashboard", "cluster", "suites"):
        sources += (ROOT / folder).rglob("*.py")
    bad = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in sources
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(rf"`?bench ({names})\b(?!-)", line)
    ]
    assert bad == []
