"""The documents: every command is described, every option, link and anchor exists, and prose is narrow."""

from __future__ import annotations

import re
from pathlib import Path

import typer.main

from benchbench.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
WIDTH = 100
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")


def commands() -> dict[str, set[str]]:
    """Return every command ("run", "results export", ...) with its options."""
    found = {}
    group = typer.main.get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        for sub, inner in getattr(command, "commands", {"": command}).items():
            found[f"{name} {sub}".strip()] = {o for p in inner.params for o in p.opts if o.startswith("--")}
    return found


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def without_code(text: str) -> str:
    """Return Markdown whose fenced and indented code, and `code` in lines, are blank; lines keep their numbers."""
    lines: list[str] = []
    fenced, indent = False, 0
    for line in text.splitlines():
        item = re.match(r"\s*(?:[-*]|\d+\.) +", line)
        if item and not fenced:
            indent = len(item[0])
        elif line and not line.startswith(" "):
            indent = 0
        if line.lstrip().startswith("```"):
            fenced = not fenced
            lines.append("")
        elif fenced or (not item and line.startswith(" " * (indent + 4))):
            lines.append("")
        else:
            lines.append(line)
    return re.sub(r"`[^`\n]*`", "``", "\n".join(lines))


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ +(.+?)\s*$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", LINK.sub(r"\1", heading).lower()).replace(" ", "-")
        n, base = 1, slug
        while slug in found:
            slug, n = f"{base}-{n}", n + 1
        found.add(slug)
    return found


def broken_links(path: Path) -> list[str]:
    wrong = []
    for _, target in LINK.findall(without_code(path.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        other = (path.parent / name).resolve() if name else path
        if not other.exists():
            wrong.append(f"{named(path)}: {target}: no such file")
        elif anchor and anchor not in anchors(other.read_text()):
            wrong.append(f"{named(path)}: {target}: no such heading")
    return wrong


def wide_lines(text: str) -> list[int]:
    """Return the numbers of lines of prose that are wider than `WIDTH`; targets of links do not count."""
    generated = re.compile(r"^<!-- published:.*?^<!-- /published -->", re.MULTILINE | re.DOTALL)
    text = generated.sub(lambda m: "\n" * m[0].count("\n"), text)
    code_free = without_code(text).split("\n")
    wide = []
    for number, (line, kept) in enumerate(zip(text.splitlines(), code_free, strict=True), start=1):
        if kept and not kept.lstrip().startswith("|") and len(LINK.sub(r"[\1]", line)) > WIDTH:
            wide.append(number)
    return wide


def test_every_command_stands_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    missing = [name for name in commands() if not re.search(rf"bench {name.split()[0]}\b", text)]
    assert missing == []
    assert "`import` and `merge`" in text


def test_documented_commands_and_options_exist() -> None:
    known = commands()
    seen = 0
    for path in PAGES:
        # a command that goes on after a backslash is one line
        text = re.sub(r"\\\n\s+", "", path.read_text())
        for line in re.findall(r"(?:^ {4}|`|=\S+ )(bench [a-z][^`\n#]*)", text, re.MULTILINE):
            words = line.split()
            name = next((n for n in (" ".join(words[1:3]), words[1]) if n in known), None)
            assert name is not None or words[1] in ("results",), f"{path.name}: {line}"
            for option in re.findall(r"--[a-z-]+", line):
                assert name is not None
                assert option in known[name], f"{path.name}: {line}: no option {option}"
            seen += 1
    assert seen > 100


def test_every_link_leads_to_a_file_and_a_heading() -> None:
    assert sum(len(LINK.findall(path.read_text())) for path in PAGES) > 100
    assert [wrong for path in PAGES for wrong in broken_links(path)] == []


def test_files_of_the_repository_that_pages_name_exist() -> None:
    named_files = {
        (named(page), file)
        for page in PAGES
        for file in re.findall(
            r"`((?:benchbench|methods|suites|cluster|results|tests)/[\w/.-]+\.\w+)", page.read_text()
        )
    }
    assert len(named_files) > 20
    assert [(page, file) for page, file in sorted(named_files) if not (ROOT / file).exists()] == [
        ("CONTRIBUTING.md", "methods/fewshot/my_method.py")  # the reader's
    ]


def test_anchors_are_those_of_headings_and_code_holds_no_links() -> None:
    known = anchors("# One `two/2` (three)\n\n```\n# not a heading\n```\n\n## One\n\n## One\n")
    assert known == {"one-two2-three", "one", "one-1"}
    assert without_code("see `[x](y)`\n\n    [x](y)\n\n- a\n  [b](c)\n").count("](") == 1


def test_the_index_lists_every_page_once() -> None:
    index = ROOT / "docs" / "README.md"
    listed = [(index.parent / target).resolve() for _, target in LINK.findall(index.read_text())]
    assert sorted(p for p in PAGES if p not in listed) == sorted([index, ROOT / "README.md"])
    assert len(listed) == len(set(listed))


def test_prose_is_narrow() -> None:
    assert [f"{named(path)}:{n}" for path in PAGES for n in wide_lines(path.read_text())] == []
    long = "word " * 30
    assert wide_lines(f"{long}\n\n    {long}\n| {long} |\n```\n{long}\n```\n- {long}\n\n[a]({'x' * 120})\n") == [1, 8]
