"""Long lists of names in notes are counted."""

from __future__ import annotations

from benchbench.stats.labels import listed


def test_beyond_five_names_the_rest_are_counted() -> None:
    names = [f"t{i}" for i in range(1205)]
    assert listed(names[:1]) == "t0"
    assert listed(names[:5]) == "t0, t1, t2, t3, t4"
    assert listed(names[:6]) == "t0, t1, t2, t3, t4 and 1 more"
    assert listed(names) == "t0, t1, t2, t3, t4 and 1,200 more"
    assert listed(names[:3], 2, separator="; ") == "t0; t1 and 1 more"
