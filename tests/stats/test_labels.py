"""Numbers, shares and durations as people read them, at the ends of each range."""

from __future__ import annotations

import pytest

from benchbench.stats.labels import number_text, plural, published_source, share_text, whole_duration


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0%"),
        (0.004, "<1%"),
        (0.005, "<1%"),
        (0.0051, "1%"),
        (0.333, "33%"),
        (0.994, "99%"),
        (0.995, ">99%"),
        (0.9999, ">99%"),
    ],
)
def test_a_share_is_nothing_or_all_only_if_it_is_exactly(share: float, text: str) -> None:
    assert share_text(share) == text
    assert share_text(1) == "all"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 00 min"),
        (7800, "2 h 10 min"),
        (172_799, "47 h 59 min"),
        (172_800, "2 days 0 h"),
        (273_600, "3 days 4 h"),
    ],
)
def test_durations_change_their_unit_at_its_end(seconds: float, text: str) -> None:
    assert whole_duration(seconds) == text


def test_numbers_and_counts() -> None:
    assert [number_text(v, 2) for v in (-0.001, -0.006, 0.0, 1.005)] == ["0.00", "-0.01", "0.00", "1.00"]
    assert [plural(n, "task") for n in (0, 1, 2, 1200)] == ["0 tasks", "1 task", "2 tasks", "1,200 tasks"]
    assert published_source("published: AMLB 2023") == "AMLB 2023"
    assert published_source("fewshot/2") is None
