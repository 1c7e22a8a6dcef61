"""Labels beside points: none over another, all within the area, as long as there is room."""

from __future__ import annotations

import random
from itertools import combinations

from benchbench.plots.label_placement import Box, place_labels

AREA = Box(0, 0, 400, 300)


def test_a_label_alone_stands_to_the_right() -> None:
    (box,) = place_labels([(100, 100)], [(40, 10)], AREA, [Box(97, 97, 103, 103)], gap=5)
    assert box == Box(105, 95, 145, 105)


def test_crowded_labels_do_not_overlap_and_stay_inside() -> None:
    rng = random.Random(0)
    points = [(rng.uniform(150, 250), rng.uniform(200, 290)) for _ in range(14)]
    obstacles = [Box(x - 3, y - 3, x + 3, y + 3) for x, y in points]
    boxes = place_labels(points, [(60.0, 10.0)] * 14, AREA, obstacles)
    assert all(a.overlap(b) == 0 for a, b in combinations(boxes, 2))
    assert all(abs(box.overlap(AREA) - box.area) < 1e-6 for box in boxes)
    assert all(box.overlap(o) == 0 for box in boxes for o in obstacles)


def test_labels_that_choose_first_get_the_best_place() -> None:
    points, sizes = [(100.0, 100.0), (101.0, 100.0)], [(40.0, 10.0)] * 2
    right = [place_labels(points, sizes, AREA, [], first=first)[i].left for i, first in enumerate([(1, 0), (0, 1)])]
    assert right == [105.0, 106.0]


def test_without_room_there_is_still_a_place_for_each() -> None:
    assert len(place_labels([(1, 1)] * 5, [(50, 50)] * 5, Box(0, 0, 20, 20), [])) == 5


def test_a_label_without_a_free_place_hides_what_counts_least() -> None:
    # the only room beside the point is that of the obstacle or of the first label
    area = Box(0, 0, 100, 12)
    first, second = place_labels([(50, 6), (50, 6)], [(40, 10)] * 2, area, [Box(0, 0, 45, 12)], first=[True, False])
    assert first.left == 55
    assert second.overlap(first) == 0
    assert second.overlap(area) == second.area
