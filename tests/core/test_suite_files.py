from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchbench.errors import SuiteFileError, UnknownNameError
from benchbench.suite_files import OrderingSpec, PresetSpec, find_suite, list_suites, read_suite

GOOD = """
name = "mine"
version = "1"
track = "fewshot"
title = "Mine"
seeds = [0, 1]
methods = ["protonet"]

[scores]
baseline = "pixel_nn"
reference = "maml"

[presets.quick]
test_units = 10
iterations = 5
time_limit_seconds = 60

[presets.long]
test_units = 100
threads = 2

[[tasks]]
name = "first"
loader = "sinusoid"
options = { shot = 5 }
reference_score = -1

[[tasks]]
name = "second"
loader = "sinusoid"

[[orderings]]
above = ["learned", "other"]
below = ["simple"]
why = "a paper"

[[orderings]]
above = ["learned"]
below = ["other"]
tasks = ["first"]
at_least = true
"""

WITHOUT_TASKS = GOOD[: GOOD.index("[[tasks]]")]
WITHOUT_PRESETS = GOOD[: GOOD.index("[presets.quick]")] + GOOD[GOOD.index("[[tasks]]") :]
WITHOUT_SCORES = GOOD[: GOOD.index("[scores]")] + GOOD[GOOD.index("[presets.quick]") :]

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_good_file_is_read_with_defaults(write: Write) -> None:
    suite = read_suite(write(GOOD))
    assert (suite.name, suite.version, suite.track, suite.seeds) == ("mine", "1", "fewshot", (0, 1))
    assert suite.methods == ("protonet",)
    assert not suite.generated_splits
    assert [task.name for task in suite.tasks] == ["first", "second"]
    assert suite.task("first").options == {"shot": 5}
    assert suite.task("second").options == {}
    assert suite.preset(None) == ("quick", PresetSpec(test_units=10, iterations=5, time_limit_seconds=60.0))
    assert suite.preset("long") == ("long", PresetSpec(test_units=100, threads=2))


def test_orderings_are_of_methods_that_the_core_need_not_know(write: Write) -> None:
    suite = read_suite(write(GOOD))
    assert suite.orderings == (
        OrderingSpec(above=("learned", "other"), below=("simple",), why="a paper"),
        OrderingSpec(above=("learned",), below=("other",), tasks=("first",), at_least=True),
    )
    assert read_suite(write(GOOD[: GOOD.index("[[orderings]]")])).orderings == ()


def test_whole_numbers_stand_for_floats(write: Write) -> None:
    suite = read_suite(write(GOOD))
    assert isinstance(suite.task("first").reference_score, float)
    assert suite.task("first").baseline_score is None
    assert isinstance(suite.presets["quick"].time_limit_seconds, float)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        # unknown keys, at every level, with a suggestion
        ("title =", "titel =", r"unknown key 'titel'; did you mean 'title'"),
        ("iterations = 5", "iteration = 5", r"\[presets\.quick\]: unknown key 'iteration'; did you mean 'iterations'"),
        ('baseline = "pixel_nn"', 'base_line = "x"', r"\[scores\]: unknown key 'base_line'; did you mean 'baseline'"),
        ("options = {", "option = {", r"\[tasks\[0\]\]: unknown key 'option'; did you mean 'options'"),
        # missing keys
        ('version = "1"\n', "", "'version' is missing"),
        ('loader = "sinusoid"\noptions', "options", r"\[tasks\[0\]\]: 'loader' is missing"),
        ('reference = "maml"\n', "", r"\[scores\]: 'reference' is missing"),
        ("test_units = 10\n", "", r"\[presets\.quick\]: 'test_units' is missing"),
        # wrong types
        ('version = "1"', "version = 1", "version: expected str, got 1"),
        ("test_units = 10\n", 'test_units = "10"\n', "test_units: expected int, got '10'"),
        ("test_units = 10\n", "test_units = true\n", "test_units: expected int, got True"),
        ("test_units = 10\n", "test_units = 1.5\n", r"test_units: expected int, got 1\.5"),
        ("seeds = [0, 1]", "seeds = 0", "seeds: expected .*, got 0"),
        ("seeds = [0, 1]", "seeds = [0, true]", r"seeds: expected a list of int, got \[0, True\]"),
        ('methods = ["protonet"]', "methods = [1]", r"methods: expected a list of str, got \[1\]"),
        ("options = { shot = 5 }", "options = 5", "options: expected .*, got 5"),
        ("reference_score = -1", 'reference_score = "-1"', "reference_score: expected float, got '-1'"),
        ("reference_score = -1", "reference_score = nan", "reference_score: expected a finite float, got nan"),
        ("time_limit_seconds = 60", "time_limit_seconds = inf", "time_limit_seconds: expected a finite float, got inf"),
        (
            "reference_score = -1",
            "reference_score = -9\nbaseline_score = -4",
            "'first': the reference_score -9 is below the baseline_score -4",
        ),
        ("[0, 1]", "[0, 1]\ngenerated_splits = 1", "generated_splits: expected bool, got 1"),
        ("at_least = true", "at_least = 1", r"\[orderings\[1\]\]: at_least: expected bool, got 1"),
        ('below = ["simple"]', 'below = "simple"', r"\[orderings\[0\]\]: below: expected .*, got 'simple'"),
        ("why =", "reason =", r"\[orderings\[0\]\]: unknown key 'reason'"),
        ('below = ["simple"]\n', "", r"\[orderings\[0\]\]: 'below' is missing"),
        # contradictions
        ('below = ["simple"]', "below = []", r"\[orderings\[0\]\]: below must name at least one method"),
        (
            '["learned", "other"]',
            '["learned", " "]',
            r"\[orderings\[0\]\]: above must name .*; names must not be empty",
        ),
        ('below = ["other"]', 'below = ["learned"]', r"\[orderings\[1\]\]: method 'learned' is named more than once"),
        ('tasks = ["first"]', 'tasks = ["frist"]', r"\[orderings\[1\]\]: unknown task 'frist'; did you mean 'first'"),
        ('name = "second"', 'name = "first"', "more than one task is named first"),
        ('name = "mine"', 'name = "yours"', "the suite is named 'yours', its file 'mine'"),
        ('track = "fewshot"', 'track = "few-shot"', "unknown track 'few-shot'; did you mean 'fewshot'"),
        ("[0, 1]", '[0, 1]\ndefault_preset = "fast"', "default_preset 'fast' is not among"),
        ('name = "second"', 'name = "a b"', "'a b' is not a name"),
        ("test_units = 10\n", "test_units = 0\n", r"presets\.quick\.test_units must be above 0, got 0"),
        ("threads = 2", "threads = -2", r"presets\.long\.threads must be above 0, got -2"),
        ("time_limit_seconds = 60", "time_limit_seconds = -0.5", r"time_limit_seconds must be above 0, got -0\.5"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(write: Write, old: str, new: str, says: str) -> None:
    assert old in GOOD
    path = write(GOOD.replace(old, new, 1))
    with pytest.raises(SuiteFileError, match=says) as caught:
        read_suite(path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "cannot be read as TOML"),
        ('name = "mine"\nname = "mine"', "cannot be read as TOML"),
        ("", "'name' is missing"),
        (WITHOUT_TASKS, r": a table \[\[tasks\]\] is missing"),
        ("tasks = []\n" + WITHOUT_TASKS, r"at least one table \[\[tasks\]\]"),
        ("tasks = 3\n" + WITHOUT_TASKS, r"tasks: expected \[\[tasks\]\] tables, got 3"),
        ("tasks = [1]\n" + WITHOUT_TASKS, r"\[tasks\[0\]\]: expected a table, got int"),
        (GOOD.replace("[[tasks]]", "[[tsks]]"), "unknown key 'tsks'; did you mean 'tasks'"),
        (
            "orderings = 3\n" + GOOD[: GOOD.index("[[orderings]]")],
            r"orderings: expected \[\[orderings\]\] tables, got 3",
        ),
        (WITHOUT_PRESETS, r": a table \[presets\.NAME\] is missing"),
        ("presets = {}\n" + WITHOUT_PRESETS, r"at least one table \[presets\.NAME\]"),
        ("presets = []\n" + WITHOUT_PRESETS, r"presets: expected \[presets\.NAME\] tables, got \[\]"),
        (WITHOUT_SCORES, r": a table \[scores\] is missing"),
        ("scores = 1\n" + WITHOUT_SCORES, r"\[scores\]: expected a table, got int"),
        (GOOD + "[presets.long.more]\n", r"\[presets\.long\]: unknown key 'more'"),
    ],
)
def test_malformed_files(write: Write, text: str, says: str) -> None:
    with pytest.raises(SuiteFileError, match=says):
        read_suite(write(text))


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"name = '\xff'")
    with pytest.raises(SuiteFileError, match="cannot be read as TOML"):
        read_suite(path)


def test_a_file_by_its_path(write: Write, tmp_path: Path) -> None:
    assert find_suite(str(write(GOOD))).name == "mine"
    with pytest.raises(SuiteFileError, match="no suite file"):
        find_suite(str(tmp_path / "other.toml"))


def test_names_with_suggestions(write: Write) -> None:
    suite = read_suite(write(GOOD))
    with pytest.raises(UnknownNameError, match="unknown suite 'fewshots'; did you mean 'fewshot'"):
        find_suite("fewshots")
    with pytest.raises(UnknownNameError, match="did you mean 'first'"):
        suite.task("frist")
    with pytest.raises(UnknownNameError, match="'mine': 'quik'; did you mean 'quick'"):
        suite.preset("quik")


@pytest.mark.parametrize("listed", ["folder", "file"])
def test_suites_of_ones_own(write: Write, monkeypatch: pytest.MonkeyPatch, listed: str) -> None:
    path = write(GOOD)
    monkeypatch.setenv("BENCHBENCH_SUITES", str(path.parent if listed == "folder" else path))
    assert list_suites()["mine"] == path
    assert find_suite("mine").title == "Mine"


def test_two_suites_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fewshot.toml").write_text(GOOD)
    monkeypatch.setenv("BENCHBENCH_SUITES", str(tmp_path))
    with pytest.raises(SuiteFileError, match="two suites are named 'fewshot'"):
        list_suites()
