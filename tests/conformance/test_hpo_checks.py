"""Each check of optimisers catches the one that breaks its promise, and lets honest ones pass."""

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
        ("illegal_configurations", "check_suggestions_are_legal"),
        ("other_space", "check_suggestions_are_legal"),
        ("odd_fidelity", "check_suggestions_are_legal"),
        ("failures_are_numbers", "check_failed_evaluations_break_nothing"),
        ("gives_up", "check_failed_evaluations_break_nothing"),
        ("one_at_a_time", "check_pending_suggestions_break_nothing"),
        ("needs_spread", "check_any_losses_are_taken"),
        ("needs_three", "check_small_budgets_are_kept"),
        ("seeds_the_space", "check_space_is_left_alone"),
        ("global_random_search", "check_global_random_state_does_not_matter"),
    ],
)
def test_each_broken_promise_is_caught_by_its_check(method: str, check: str) -> None:
    assert set(statuses(method, check).values()) == {"failed"}
    assert set(statuses("honest_search", check).values()) == {"passed"}


def test_an_honest_optimiser_passes_everything() -> None:
    results = list(run_checks(get_method("honest_search")))
    assert {r.check: r.message for r in results if r.is_bad} == {}
    assert {r.check for r in results} | {"check_unsupported_tasks_are_declined"} == set(check_names("hpo"))
