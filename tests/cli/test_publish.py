"""`bench publish`: a site that is whole, says what the board says, and lets nothing through."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest

from benchbench.errors import InputError
from benchbench.reports.site.names import slug
from benchbench.reports.site.writing import MARKER

Bench = Callable[..., str]
Land = Callable[..., Path]

EVIL = "<script>alert('x')</script>"
ROWS = (
    {"scores": [0.7, 0.6, 0.8, 0.7]},
    {"method": "protonet", "scores": [0.6, 0.6, 0.5, 0.7], "params": {"n_way": 30}},
    {"method": "pixel_nn", "scores": [0.2, 0.3]},
    {"task": "waves", "scores": [-3.0, -2.0]},
    {"task": "waves", "method": "protonet", "params": {"n_way": 30}, "outcome": "declined"},
    {
        "task": "waves",
        "method": "pixel_nn",
        "outcome": "failed",
        "error_type": "ValueError",
        "error_message": "no <b>numbers</b>",
        "traceback": 'File "/home/somebody/secret.py"',
        "host": "machine-of-somebody",
    },
)


class Links(HTMLParser):
    """Collects every address and identifier of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.assets: list[str] = []
        self.ids: set[str] = set()
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), (tag, attrs)
            if name == "id":
                self.ids.add(value or "")
            elif name == "href" and tag == "a":
                self.targets.append(value or "")
            elif name in ("src", "href", "srcset", "action", "poster", "data"):
                self.assets.append(value or "")


def pages(site: Path) -> dict[str, Links]:
    return {p.relative_to(site).as_posix(): Links(p.read_text()) for p in site.rglob("*.html")}


def contents(site: Path) -> dict[str, bytes]:
    return {p.relative_to(site).as_posix(): p.read_bytes() for p in sorted(site.rglob("*")) if p.is_file()}


def publish(bench: Bench, suite: Path | str, db: Path, site: Path, *options: str) -> Path:
    bench("publish", site, "--suite", suite, "--db", db, *options)
    return site


def test_every_link_leads_somewhere_and_nothing_is_fetched_from_outside(
    bench: Bench, suite_file: Path, land: Land, tmp_path: Path
) -> None:
    site = publish(bench, suite_file, land(*ROWS), tmp_path / "site")
    found = pages(site)
    assert {"index.html", "methods.html", "about.html", "suites/pair.html"} <= set(found)
    assert {"tasks/pair--letters.html", "methods/maml.html", "methods/pixel_nn.html"} <= set(found)
    n_links = 0
    for name, page in found.items():
        folder = (site / name).parent
        for target in page.targets:
            if target.startswith("https://"):
                assert name.startswith("methods/")  # the paper on a card
                continue
            path, fragment = urldefrag(target)
            file = (folder / unquote(path)).resolve() if path else site / name
            assert file.is_file(), (name, target)
            assert file.is_relative_to(site.resolve())
            if fragment and file.suffix == ".html":
                assert fragment in found[file.relative_to(site.resolve()).as_posix()].ids, (name, target)
            n_links += 1
        for asset in page.assets:
            assert asset == "data:," or (folder / asset).resolve().is_file(), (name, asset)
    assert n_links > 60
    for name, content in contents(site).items():
        if name.endswith((".css", ".js")):
            assert not re.search(rb"https?:|@import|url\(|fetch|XMLHttp|eval", content), name


def test_the_pages_hold_the_boards_numbers(bench: Bench, suite_file: Path, land: Land, tmp_path: Path) -> None:
    db = land(*ROWS)
    site = publish(bench, suite_file, db, tmp_path / "site")
    options = ("--suite", suite_file, "--db", db, "--format", "json")
    for name, more in (("pair", ()), ("pair-elo", ("--stat", "elo")), ("pair-rank", ("--by", "suite"))):
        assert (site / f"data/{name}.json").read_text() == bench("leaderboard", *options, *more)
    text = (site / "suites/pair.html").read_text()
    for row in json.loads(bench("leaderboard", *options, "--stat", "elo")):
        assert f">{row['value']:.0f}</" in text
        assert f'data-value="{row["value"]!r}"' in text
    assert "1 of 5 scores (20.0%)" in text
    assert "Splits generated here" in text


def test_equal_results_give_equal_bytes_and_the_time_is_the_results(
    bench: Bench, suite_file: Path, land: Land, tmp_path: Path
) -> None:
    db = land(*ROWS)
    one = contents(publish(bench, suite_file, db, tmp_path / "one"))
    two = contents(publish(bench, suite_file, db, tmp_path / "two"))
    assert one == two
    assert b"results up to 2001-09-09 01:46 UTC" in one["index.html"]


def test_hostile_names_reach_no_page_as_markup_and_no_path(
    bench: Bench, suite_file: Path, land: Land, tmp_path: Path
) -> None:
    suite_file.write_text(
        suite_file.read_text()
        .replace("A pair of tasks", EVIL)
        .replace('measured = "by hand"', f'measured = """{EVIL}"""')
    )
    names = [EVIL, "../../outside", '" onmouseover="alert(1)', "a/b", ".", "", "MAML", "maml", "x" * 300, "é\u202e\n"]
    rows = [{"method": name, "scores": [0.5 + 0.01 * i, 0.6]} for i, name in enumerate(names)]
    rows += [{"method": "maml", "params": {"x": EVIL}, "hardware_class": EVIL, "seed": 3}]
    rows += [{"method": EVIL, "task": "waves", "outcome": "failed", "error_message": EVIL, "error_type": "</td>"}]
    site = publish(bench, suite_file, land(*rows), tmp_path / "site")
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir() and "landing" not in p.name) == ["site"]
    found = pages(site)
    assert len([name for name in found if name.startswith("methods/")]) == len(names)
    for name, page in found.items():
        # one script, the site's own, and no other element than the pages are made of
        assert page.tags.count("script") == 1, name
        assert not {"iframe", "object", "form", "input", "b"} & set(page.tags)
        assert EVIL not in (site / name).read_text()
        for target in page.targets:
            assert not target.lower().startswith(("javascript:", "data:")), target
            if not target.startswith("https://"):
                path = urldefrag(target)[0]
                assert not path or ((site / name).parent / unquote(path)).resolve().is_relative_to(site.resolve())
    assert "&lt;script&gt;" in (site / "suites/pair.html").read_text()


def test_names_of_pages_never_meet() -> None:
    names = ["maml", "MAML", "Maml", "a b", "a-b", "a/b", "..", ".", "", "-", "é", "x" * 90, "x" * 91]
    made = [slug(name) for name in names]
    assert len({m.lower() for m in made}) == len(names)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9._-]*", m) for m in made)


def test_nothing_of_machines_and_people_is_published(
    bench: Bench, suite_file: Path, land: Land, tmp_path: Path
) -> None:
    site = publish(bench, suite_file, land(*ROWS), tmp_path / "site")
    everything = b"".join(contents(site).values())
    for secret in (b"secret.py", b"machine-of-somebody", str(tmp_path).encode()):
        assert secret not in everything
    assert b"ValueError: no &lt;b&gt;numbers" in everything


@pytest.mark.parametrize("what", ["file", "other", "added", "link", "nowhere"])
def test_a_folder_of_somebody_else_is_never_touched(
    bench: Bench, suite_file: Path, land: Land, tmp_path: Path, what: str
) -> None:
    db, site = land(*ROWS), tmp_path / "site"
    if what == "file":
        site.write_text("mine")
    elif what == "other":
        site.mkdir()
        (site / "index.html").write_text("mine")
    elif what == "added":
        publish(bench, suite_file, db, site)
        (site / "CNAME").write_text("mine")
    elif what == "link":
        (tmp_path / "real").mkdir()
        site.symlink_to(tmp_path / "real")
    else:
        (tmp_path / "no").write_text("mine")
        site = tmp_path / "no" / "deeper" / "site"
    before = contents(site) if site.is_dir() else None
    bench("publish", site, "--suite", suite_file, "--db", db, raises=InputError)
    assert (contents(site) if site.is_dir() else None) == before
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".site")]


def test_a_site_is_replaced_as_a_whole(bench: Bench, suite_file: Path, land: Land, tmp_path: Path) -> None:
    db, site = land(*ROWS), tmp_path / "site"
    site.mkdir()  # an empty folder will do
    publish(bench, suite_file, db, site)
    # as will one whose parents are not there yet
    publish(bench, suite_file, db, tmp_path / "new" / "deep" / "site")
    assert contents(tmp_path / "new" / "deep" / "site") == contents(site)
    assert (site / "methods/pixel_nn.html").is_file()
    publish(bench, suite_file, db, site, "--method", "maml,protonet")
    assert not (site / "methods/pixel_nn.html").exists()
    assert set(json.loads((site / MARKER).read_text())["files"]) == set(contents(site)) - {MARKER}


def test_a_failure_leaves_the_old_site(
    bench: Bench, suite_file: Path, land: Land, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db, site = land(*ROWS), tmp_path / "site"
    publish(bench, suite_file, db, site)
    before = contents(site)
    write, seen = Path.write_bytes, []

    def full(path: Path, content: bytes) -> int:
        seen.append(path)
        if len(seen) > 5:
            raise OSError(28, os.strerror(28))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    bench("publish", site, "--suite", suite_file, "--db", db, raises=InputError)
    monkeypatch.undo()
    assert contents(site) == before
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".site")]


def test_all_suites_with_results(
    bench: Bench, suite_file: Path, land: Land, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = suite_file.with_name("other.toml")
    other.write_text(suite_file.read_text().replace('name = "pair"', 'name = "other"'))
    monkeypatch.setenv("BENCHBENCH_SUITES", f"{suite_file}:{other}")
    db = land(*ROWS, {"suite": "other"}, {"suite": "long_gone"})
    site = publish(bench, "all", db, tmp_path / "site")
    assert sorted(p.name for p in (site / "suites").iterdir()) == ["other.html", "pair.html"]
    bench("publish", tmp_path / "none", "--db", tmp_path / "none.duckdb", raises=InputError)
    assert not (tmp_path / "none").exists()


def test_a_suite_without_frozen_ends_or_common_tasks_has_a_page(
    bench: Bench, suite_file: Path, land: Land, tmp_path: Path
) -> None:
    text = suite_file.read_text()
    suite_file.write_text("\n".join(line for line in text.splitlines() if "_score =" not in line))
    site = publish(bench, suite_file, land({"outcome": "failed"}), tmp_path / "site", "--impute", "drop-task")
    assert "No task is left to compare methods on" in (site / "suites/pair.html").read_text()
    site = publish(bench, suite_file, land(*ROWS, name="full"), tmp_path / "full")
    text = (site / "suites/pair.html").read_text()
    assert 'id="by-rank"' in text
    assert "0 = median method of each task, 1 = best" in text
    assert "frozen in the suite file" not in text


@pytest.mark.browser
def test_in_a_browser_from_the_disk(bench: Bench, suite_file: Path, land: Land, tmp_path: Path, browser: Any) -> None:
    site = publish(bench, suite_file, land(*ROWS, {"method": EVIL}), tmp_path / "site")
    page = browser.new_page(viewport={"width": 390, "height": 800})
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append("a dialog"))
    for path in ("index.html", "about.html", "methods.html", "methods/maml.html", "tasks/pair--letters.html"):
        page.goto((site / path).as_uri())
        # nothing stands out beyond the width of a phone
        assert page.evaluate("document.documentElement.scrollWidth") == 390, path
    page.goto((site / "suites/pair.html").as_uri() + "#by-elo")
    assert page.locator("#by-elo").is_visible()
    assert page.locator("#by-rank").is_hidden()
    page.get_by_role("link", name="win rate", exact=True).click()
    assert page.locator("#by-winrate").is_visible()
    assert page.url.endswith("#by-winrate")
    table = page.locator("#by-winrate table")
    head = table.locator("th", has_text="win rate")
    places = table.locator("tbody tr td:first-child")
    before = places.all_inner_texts()
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert [float(p) for p in places.all_inner_texts()] == sorted((float(p) for p in before), reverse=True)
    page.close()
    assert all(url.startswith((site.as_uri(), "data:,")) for url in asked)
    assert wrong == []
