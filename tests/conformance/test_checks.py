"""Each check catches the method that breaks its promise, and lets honest ones pass."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchbench.conformance import static
from benchbench.conformance.base import CheckFailed
from benchbench.conformance.runner import check_names, run_checks
from benchbench.errors import InputError, UnknownNameError
from benchbench.registry import get_method, methods

pytestmark = pytest.mark.usefixtures("zygotes")


def statuses(method: str, *only: str) -> dict[str, str]:
    return {r.check: r.status for r in run_checks(get_method(method), only)}


@pytest.mark.parametrize(
    ("method", "check"),
    [
        ("query_order", "check_query_order_does_not_matter"),
        ("hidden_transduction", "check_queries_are_predicted_alone_unless_transductive"),
        ("remembers", "check_no_state_between_episodes"),
        ("support_order", "check_support_order_does_not_matter"),
        ("writes_input", "check_input_is_left_alone"),
        ("wrong_batch", "check_batched_equals_one_by_one"),
        ("unseeded", "check_same_seed_same_scores"),
        ("peeks_at_labels", "check_scrambled_labels_fall_to_chance"),
        ("batch_remembers", "check_no_state_between_episodes"),
        ("global_random", "check_global_random_state_does_not_matter"),
        ("unseeded", "check_global_random_state_does_not_matter"),
        ("shares_too_much", "check_shared_training_is_sound"),
        ("forgets_half", "check_shared_training_is_sound"),
        ("state_of_objects", "check_shared_training_is_sound"),
        ("begins_anew", "check_training_continues_to_the_same_end"),
        ("forgets_its_sum", "check_training_continues_to_the_same_end"),
        ("forgets_its_random_state", "check_training_continues_to_the_same_end"),
        ("embeds_together", "check_images_are_embedded_alone"),
        ("two_paths", "check_embedding_once_changes_nothing"),
        ("names_its_backbone", "check_metrics_are_numbers"),
        ("computes", "check_constructor_only_stores"),
        ("unfinished", "check_card_is_complete"),
    ],
)
def test_each_broken_promise_is_caught_by_its_check(method: str, check: str) -> None:
    assert statuses(method, check) == {check: "failed"}
    assert statuses("honest", check)[check] in ("passed", "skipped")


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("tasks", "classification", r"tuple\[str, ...\], got 'classification'"),
        ("year", "2020", "int, got '2020'"),
        ("iterations", {"quick": "3"}, r"Mapping\[str, int\], got {'quick': '3'}"),
        ("transductive", 1, "bool, got 1"),
    ],
)
def test_a_field_of_the_card_of_another_type_is_named(field: str, value: Any, expected: str) -> None:
    entry = get_method("honest")
    static.check_card_is_complete(entry)
    wrong = replace(entry, card=replace(entry.card, **{field: value}))
    with pytest.raises(CheckFailed, match=f"^{field} on the card must be {expected}$"):
        static.check_card_is_complete(wrong)


def bench_check(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-P", "-m", "benchbench", "check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=280, env=env)


@pytest.mark.parametrize("kind", ["static", pytest.param("all", marks=pytest.mark.slow)])
def test_the_method_shown_to_contributors_passes_its_checks(tmp_path: Path, kind: str) -> None:
    shown = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text().split("```python\n")[1].split("```")[0]
    (tmp_path / "my_method.py").write_text(shown)
    names = ",".join(check.__name__ for check in static.CHECKS)
    done = bench_check(
        "my_method",
        *(["--only", names] if kind == "static" else []),
        env={**os.environ, "BENCHBENCH_METHODS": str(tmp_path / "my_method.py")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert done.stdout.count("  passed  ") >= len(static.CHECKS) - 1  # a loose file's import is not looked at


def plugin(folder: Path, docstring: str, setup: str = "pass") -> dict[str, str]:
    """Write a method `lone` into a file of its own; return the environment in which it is found."""
    (folder / "lone.py").write_text(
        f"""{docstring!r}
from benchbench.cards import MethodCard
from benchbench.contracts.fewshot import FewShotAdapter


class Lone(FewShotAdapter):
    card = MethodCard(name="lone", track="fewshot", title="t", summary="s", paper="p 2020", url="https://x", year=2020)

    def supports(self, task):
        {setup}

    def adapt(self, support):
        raise NotImplementedError
"""
    )
    return {**os.environ, "BENCHBENCH_METHODS": str(folder / "lone.py")}


def check_lone(environment: dict[str, str], only: str) -> list[str]:
    done = bench_check("lone", "--only", only, env=environment)
    assert done.returncode == 3, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("docstring", "got"), [("Lone, 2020.", "its docstring has 11 characters"), ("", "it has none")]
)
def test_a_short_docstring_is_told_what_is_too_short(tmp_path: Path, docstring: str, got: str) -> None:
    _, line, _ = check_lone(plugin(tmp_path, docstring), "check_docstring_names_the_source")
    assert "the module needs a docstring of at least 40 characters" in line
    assert line.endswith(got)


def test_an_error_of_several_lines_is_one_line_of_the_table(tmp_path: Path) -> None:
    environment = plugin(tmp_path, "x", setup="raise ValueError('first\\nsecond')")
    lines = check_lone(environment, "check_same_seed_same_scores")
    assert len(lines) >= 3
    assert any(line.endswith("first") for line in lines[1:-1])
    assert all(line.startswith("  failed") for line in lines[1:-1])


@pytest.mark.parametrize(
    "method", ["honest", "honest_sharing", "honest_checkpoints", "honest_embedding", "declared_order"]
)
def test_an_honest_method_passes_everything(method: str) -> None:
    results = list(run_checks(get_method(method)))
    bad = {r.check: r.message for r in results if r.is_bad}
    assert bad == {}
    assert {r.check for r in results} == set(check_names("fewshot"))
    concerned = {
        "check_shared_training_is_sound": method in ("honest_sharing", "honest_checkpoints"),
        "check_training_continues_to_the_same_end": method == "honest_checkpoints",
        "check_images_are_embedded_alone": method == "honest_embedding",
        "check_embedding_once_changes_nothing": method == "honest_embedding",
        "check_support_order_does_not_matter": method != "declared_order",
        "check_global_random_state_does_not_matter": True,
    }
    found = {r.check: r.status == "passed" for r in results if r.check in concerned}
    assert found == concerned


def test_known_failures() -> None:
    check = "check_no_state_between_episodes"
    assert statuses("known_failure", check) == {check: "known failure"}
    assert statuses("mended_failure", check) == {check: "unexpected pass"}


def test_a_method_that_hangs_or_crashes_in_a_probe_fails_it() -> None:
    result = next(iter(run_checks(get_method("broken_constructor"), ["check_input_is_left_alone"])))
    assert result.status == "failed"
    assert "this method cannot be made" in result.message


def test_unknown_check_and_track_without_checks() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'check_card_is_complete'"):
        list(run_checks(get_method("honest"), ["check_card_complete"]))
    with pytest.raises(InputError, match="no conformance checks for track 'selection'"):
        check_names("selection")


@pytest.mark.parametrize(("method", "code"), [("honest", 0), ("remembers", 3)])
def test_the_command_and_its_exit_code(method: str, code: int) -> None:
    done = bench_check(method, "--only", "check_no_state_between_episodes", "--format", "json")
    assert done.returncode == code, done.stderr
    assert [r["status"] for r in json.loads(done.stdout)] == ["passed" if code == 0 else "failed"]
    assert "Traceback" not in done.stderr


def built_in() -> list[str]:
    return sorted(n for n, e in methods().items() if e.module.startswith("benchbench.methods."))


def test_there_are_built_in_methods() -> None:
    assert len(built_in()) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("method", built_in())
def test_every_built_in_method_passes(method: str) -> None:
    bad = {f"{r.check} [{r.task}]": r.message for r in run_checks(get_method(method)) if r.is_bad}
    assert bad == {}
