"""Each check of methods for tables catches the one that breaks its promise, and lets honest ones pass."""

from __future__ import annotations

import pytest

from benchbench.conformance.runner import check_names, run_checks
from benchbench.registry import get_method

pytestmark = pytest.mark.usefixtures("zygotes")


def statuses(method: str, *only: str) -> dict[tuple[str, str], str]:
    return {(r.check, r.task): r.status for r in run_checks(get_method(method), only)}


@pytest.mark.parametrize(
    ("method", "check"),
    [
        ("improbable", "check_predictions_keep_the_contract"),
        ("alphabetical_classes", "check_classes_are_in_the_tasks_order"),
        ("known_categories_only", "check_strange_categories_and_gaps_break_nothing"),
        ("json_names", "check_names_of_columns_do_not_matter"),
        ("by_name", "check_names_of_columns_do_not_matter"),
        ("fills_in_place", "check_rows_are_left_alone"),
        ("no_metrics", "check_metrics_are_numbers"),
        ("looks_around", "check_a_row_is_predicted_for_itself"),
        ("global_tables", "check_global_random_state_does_not_matter"),
    ],
)
def test_each_broken_promise_is_caught_by_its_check(method: str, check: str) -> None:
    assert set(statuses(method, check).values()) == {"failed"}


def test_an_honest_method_passes_everything() -> None:
    results = list(run_checks(get_method("honest_tables")))
    assert {(r.check, r.task): r.message for r in results if r.is_bad} == {}
    assert {r.check for r in results} | {"check_unsupported_tasks_are_declined"} == set(check_names("automl"))
    skipped = {(r.check, r.task) for r in results if r.status == "skipped" and r.task}
    assert skipped == {("check_classes_are_in_the_tasks_order", "regression")}


def test_a_method_that_never_ends_is_ended() -> None:
    assert set(statuses("never_ends", "check_time_limit_is_kept").values()) == {"passed"}


def test_what_the_card_does_not_name_must_be_declined() -> None:
    found = statuses("looks_around", "check_unsupported_tasks_are_declined")
    assert set(found.values()) == {"passed"}
    assert {task for _, task in found} == {"binary", "multiclass"}
