"""About the numbers: the document on statistics, as it stands in the package."""

from __future__ import annotations

import re
from importlib.resources import files

__all__ = ["sections", "statistics_text"]


def statistics_text() -> str:
    """Return the document in Markdown.

    Links to other documents of the repository become plain words.
    """
    text = (files("benchbench.dashboard") / "statistics.md").read_text(encoding="utf-8")
    return re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]*\)", r"\1", text)


def sections(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the text before the first heading of the second level, and the sections.

    Each section of the second level comes with its title.
    """
    head, *rest = re.split(r"^## +", text, flags=re.MULTILINE)
    found = []
    for part in rest:
        title, _, body = part.partition("\n")
        found.append((title.strip(), body.strip()))
    return re.sub(r"^# .*\n", "", head).strip(), found
