"""The pictures in README.md and docs/dashboard.md, of the database that `bench sample` makes.

bench sample sample.duckdb
BENCHBENCH_BROWSER_DB=sample.duckdb pytest tests/browser/test_docs_images.py
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(280)]

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
LARGEST_BYTES = 200_000
# name: address, width, height, light or dark
PICTURES = {
    "leaderboard": ("/?suite=tabular", 1280, 860, "light"),
    "leaderboard-elo-dark": ("/?suite=hpo-synthetic&stat=elo", 1280, 860, "dark"),
    "wins": ("/?suite=hpo-synthetic&view=wins", 1280, 900, "light"),
    "compare": ("/compare?suite=hpo-synthetic&a=tpe&b=q_learning", 1280, 1180, "light"),
    "method": ("/method?method=protonet", 1280, 980, "light"),
    "anytime": ("/curves?suite=hpo-synthetic", 1280, 1180, "light"),
    "tradeoff": ("/tradeoff?suite=tabular", 1280, 1220, "light"),
    "runs": ("/runs", 390, 700, "light"),
    "phone": ("/?suite=tabular", 390, 1000, "light"),
}


_servers: list[Any] = []


@pytest.mark.skipif(
    not os.environ.get("BENCHBENCH_BROWSER_DB"), reason="BENCHBENCH_BROWSER_DB names no database of bench sample"
)
@pytest.mark.parametrize("name", PICTURES)
def test_the_picture_is_taken_anew(
    tab: Any, serve: Any, sample: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    from PIL import Image

    address, width, height, scheme = PICTURES[name]
    monkeypatch.setenv("BENCHBENCH_METHODS", str(IMAGES.parents[1] / "benchbench" / "cli" / "automl_sample_methods.py"))
    if not _servers:
        _servers.append(serve(sample))
    (server,) = _servers
    tab.page.set_viewport_size({"width": width, "height": height})
    tab.page.emulate_media(color_scheme=scheme)
    tab.open(server.address + address)
    tab.page.wait_for_timeout(1500)
    picture = Image.open(io.BytesIO(tab.page.screenshot())).convert("RGB")
    IMAGES.mkdir(exist_ok=True)
    path = IMAGES / f"{name}.png"
    picture.quantize(128).save(path, optimize=True)
    assert path.stat().st_size < LARGEST_BYTES


def test_the_documents_show_pictures_that_exist() -> None:
    import re

    root = IMAGES.parents[1]
    shown = set()
    for document in (root / "README.md", root / "docs" / "dashboard.md"):
        for text, target in re.findall(r"!\[([^\]]*)\]\(([^)]+\.png)\)", document.read_text()):
            assert text, f"{document.name}: {target} has no alternative text"
            assert (document.parent / target).is_file(), f"{document.name}: {target}"
            shown.add((document.parent / target).resolve())
    assert shown
