"""Names from outside load nothing and draw nothing in a reader's browser; `tab` fails if a request left the machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from benchbench.results.store import Store

pytestmark = [pytest.mark.browser, pytest.mark.timeout(280)]

IMAGE = "![marker](http://outside.invalid/marker.png)"
TAGS = "<b>bold</b><img src=http://outside.invalid/x.png>"
NAMES = (IMAGE, TAGS, ":red[red] $x$ `code`", "red\x1b[31m")


@pytest.fixture(scope="module")
def pages(
    serve: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory, make_attempt: Callable[..., Any]
) -> Any:
    store = Store(tmp_path_factory.mktemp("names") / "results.duckdb")
    store.open_for_writing()
    rows: list[dict[str, Any]] = [
        {"method": name, "task": task, "score": 0.3 + 0.1 * i} for i, name in enumerate(NAMES) for task in (IMAGE, TAGS)
    ]
    failed = {"method": IMAGE, "task": "c", "outcome": "failed", "error_type": TAGS, "error_message": IMAGE}
    # a suite that is not installed here: its name is text from outside as well
    store.land_attempts(
        [make_attempt(i, **{"suite": IMAGE, "seed": 0, **row}) for i, row in enumerate([*rows, failed])]
    )
    return serve(store.path)


@pytest.mark.parametrize(
    "address",
    [
        "/?suite={suite}",
        "/?suite={suite}&view=ranks",
        "/?suite={suite}&view=wins",
        "/compare?suite={suite}",
        "/method?method={suite}",
        "/task?suite={suite}&task={suite}",
        "/tradeoff?suite={suite}",
        "/runs?run={suite}",
        "/runs?attempt={suite}",
        "/?suite={suite}x",
        "/?stat={suite}",
    ],
)
def test_a_name_is_shown_letter_by_letter(tab: Any, pages: Any, address: str) -> None:
    tab.open(pages.address + address.format(suite=quote(IMAGE, safe="")))
    images = tab.page.locator("[data-testid=stMain] img").count()
    assert images == 0
    assert "![marker](http://outside.invalid/marker.png)" in tab.page.locator("[data-testid=stApp]").inner_text()
    assert tab.page.locator("[data-testid=stMain] b:text-is('bold')").count() == 0
