"""Every command is described where people look, and every documented option exists."""

from __future__ import annotations

import re
from pathlib import Path

import typer.main

from benchbench.cli.main import app

ROOT = Path(__file__).resolve().parents[2]


def commands() -> dict[str, set[str]]:
    """Return every command ("run", "results export", ...) with its options."""
    found = {}
    group = typer.main.get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        for sub, inner in getattr(command, "commands", {"": command}).items():
            found[f"{name} {sub}".strip()] = {o for p in inner.params for o in p.opts if o.startswith("--")}
    return found


def test_every_command_stands_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    missing = [name for name in commands() if not re.search(rf"bench {name.split()[0]}\b", text)]
    assert missing == []
    assert "`import` and `merge`" in text


def test_documented_commands_and_options_exist() -> None:
    known = commands()
    seen = 0
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for line in re.findall(r"(?:^ {4}|`|=\S+ )(bench [a-z][^`\n#]*)", path.read_text(), re.MULTILINE):
            words = line.split()
            name = next((n for n in (" ".join(words[1:3]), words[1]) if n in known), None)
            assert name is not None or words[1] in ("results",), f"{path.name}: {line}"
            for option in re.findall(r"--[a-z-]+", line):
                assert name is not None
                assert option in known[name], f"{path.name}: {line}: no option {option}"
            seen += 1
    assert seen > 15
