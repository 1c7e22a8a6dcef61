"""Specifications, hashes, seeds, the registry and the reading of method texts."""

from __future__ import annotations

import dataclasses
import inspect
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest

from benchbench.cli.common import split_list
from benchbench.cluster.plan import choose_methods
from benchbench.contracts.context import Budget
from benchbench.errors import InputError, UnknownNameError
from benchbench.registry import MethodEntry, create_method, get_method, methods, normal_params, parse_method
from benchbench.seeding import derive_seed, generator
from benchbench.spec import TrialSpec, canonical_json, content_hash
from benchbench.suite_files import find_suite
from benchbench.validation import fits


def make_spec(**changes: object) -> TrialSpec:
    values: dict[str, object] = {
        "suite": "s",
        "suite_version": "1",
        "track": "fewshot",
        "task": "t",
        "loader": "l",
        "options": {"way": 5, "shot": 1},
        "method": "m",
        "params": {"a": 1.0},
        "seed": 0,
        "budget": Budget(preset="quick", iterations=3),
        "device": "cpu",
    }
    return TrialSpec(**{**values, **changes})  # type: ignore[arg-type]


def test_trial_id_is_a_function_of_content() -> None:
    assert make_spec().trial_id == make_spec(options={"shot": 1, "way": 5}).trial_id
    others = [
        make_spec(seed=1),
        make_spec(params={"a": 2.0}),
        make_spec(task="u"),
        make_spec(suite_version="2"),
        make_spec(budget=Budget(preset="quick", iterations=4)),
        make_spec(budget=Budget(preset="quick", iterations=3, threads=2)),
        make_spec(device="cuda"),
    ]
    ids = {s.trial_id for s in [make_spec(), *others]}
    assert len(ids) == 1 + len(others)


def test_trial_id_is_the_same_in_another_process() -> None:
    code = (
        "from benchbench.spec import TrialSpec; from benchbench.contracts.context import Budget;"
        "print(TrialSpec(suite='s', suite_version='1', track='fewshot', task='t', loader='l', options={'shot': 1, 'way': 5},"
        "method='m', params={'a': 1.0}, seed=0, budget=Budget(preset='quick', iterations=3), device='cpu').trial_id)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == make_spec().trial_id


def test_spec_survives_json() -> None:
    import json

    spec = make_spec()
    assert TrialSpec.from_dict(json.loads(canonical_json(spec.to_dict()))).trial_id == spec.trial_id


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object()])
def test_only_plain_data_are_hashed(value: object) -> None:
    with pytest.raises(InputError, match="not plain JSON"):
        content_hash({"x": value})


def test_seeds_are_independent_by_name_and_stable() -> None:
    # a frozen value: a change would silently change every score
    assert derive_seed(0, "train") == 2247946608620987588
    assert len({derive_seed(s, n) for s in range(50) for n in ("a", "b", 1)}) == 150
    a, b = generator(3, "x"), generator(3, "x")
    assert a.random(4).tolist() == b.random(4).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("maml", ("maml", {})),
        (" maml( inner_lr = 0.1 , first_order=True)", ("maml", {"inner_lr": 0.1, "first_order": True})),
        ("m(x='a,b', y=[1, 2], z=None)", ("m", {"x": "a,b", "y": [1, 2], "z": None})),
    ],
)
def test_parse_method(text: str, expected: tuple[str, dict[str, object]]) -> None:
    assert parse_method(text) == expected


@pytest.mark.parametrize("text", ["", "maml(", "maml(0.1)", "maml(x=open('f'))", "a.b", "m(**{})", "import os"])
def test_parse_method_refuses(text: str) -> None:
    with pytest.raises(InputError, match="cannot read method"):
        parse_method(text)


def test_split_list() -> None:
    assert split_list(["maml(a=1,b=[2,3]),protonet", "pixel_nn"]) == ["maml(a=1,b=[2,3])", "protonet", "pixel_nn"]
    assert split_list(["m(x='a,)'),n", ""]) == ["m(x='a,)')", "n"]
    assert split_list(None) == []


def test_unknown_names_get_suggestions() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'protonet'"):
        get_method("protonets")
    with pytest.raises(UnknownNameError, match="did you mean 'seconds'"):
        create_method("sleeper", {"second": 1})
    with pytest.raises(UnknownNameError, match="parameter of method 'noop'"):
        create_method("noop", {"x": 1})


def run_listing(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "benchbench", "list", "methods"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "BENCHBENCH_METHODS": str(path)},
    )


def test_duplicate_names_are_refused_naming_both(tmp_path: Path) -> None:
    source = (Path(__file__).parents[1] / "plugins" / "hostile.py").read_text()
    (tmp_path / "one.py").write_text(source)
    (tmp_path / "two.py").write_text(source)
    done = run_listing(tmp_path)
    assert done.returncode == 2
    assert "one.py" in done.stderr
    assert "two.py" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_plugin_is_shown_and_takes_no_other_with_it(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import does_not_exist\n")
    done = run_listing(tmp_path)
    assert done.returncode == 0
    assert "protonet" in done.stdout
    assert "not usable" in done.stdout
    assert "does_not_exist" in done.stdout


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import os\n\nimport does_not_exist\n", "line 3: ModuleNotFoundError: No module named 'does_not_exist'"),
        ("x = 1\nif x\n", "line 2: SyntaxError: expected ':'"),
        ("import json\njson.loads('{')\n", "line 2: JSONDecodeError: "),
        ("raise ValueError('a\\nb')\n", "line 1: ValueError: a\n"),
        ("raise ValueError\n", "line 1: ValueError: \n"),
    ],
)
def test_a_broken_plugin_is_told_in_one_line_with_its_place(tmp_path: Path, source: str, what: str) -> None:
    (tmp_path / "broken.py").write_text(source)
    done = run_listing(tmp_path)
    assert done.stderr.startswith(f"warning: method plug-in {tmp_path / 'broken.py'} cannot be imported: {what}")
    assert done.stderr.count("\n") == 1
    assert f"not usable: {tmp_path / 'broken.py'}: {what}" in done.stdout


def test_source_hash_covers_what_an_adapter_imports(tmp_path: Path) -> None:
    from benchbench.registry import _own_imports

    entry = methods()["protonet"]
    files = _own_imports(entry.module, entry.path)
    assert entry.module in files
    assert len(files) > 1, "the backbone it imports belongs to its source"
    assert all(name.startswith("benchbench.methods") for name in files)
    assert len({m.source_hash() for m in methods().values() if m.module.startswith("benchbench")}) > 1


@pytest.mark.parametrize(("name", "entry"), methods().items())
def test_every_methods_defaults_fit_its_annotations(name: str, entry: MethodEntry) -> None:
    """Else the very values that its documentation shows would be refused."""
    parameters = [] if entry.cls.__init__ is object.__init__ else inspect.signature(entry.cls).parameters.values()
    assert [p for p in parameters if not fits(p.default, p.annotation)] == []


def test_parameters_of_a_wrong_type_are_refused_before_anything_runs() -> None:
    with pytest.raises(InputError, match=r"parameter 'inner_rate' of method 'maml' expects float \| None, got 'abc'"):
        choose_methods(find_suite("smoke"), ["maml(inner_rate='abc')"])
    with pytest.raises(InputError, match=r"parameter 'averages' of method 'maml' expects bool, got \[1, 2\]"):
        choose_methods(find_suite("smoke"), ["maml(averages=[1,2])"])
    (found,) = choose_methods(find_suite("smoke"), ["maml(inner_rate=1)"])
    assert found.params == {"inner_rate": 1}


def _spelt(**params: Any) -> str:
    """Return the JSON of a plug-in's normal parameters."""

    class Many:
        def __init__(
            self,
            rate: float = 0.5,
            n: int = 3,
            share: int | float = 1,
            either: float | int | None = None,
            layers: tuple[int, ...] = (8, 8),
            ends: tuple[float, float] = (0.0, 1.0),
            rates: dict[str, float] = {"a": 1.0, "b": 2.0},  # noqa: B006
            kind: Literal["l1", "l2"] = "l2",
            is_on: bool = True,
            anything=1.0,  # type: ignore[no-untyped-def]
            wrong: int = None,  # type: ignore[assignment]  # noqa: RUF013
            endless: float = math.inf,
        ) -> None: ...

    entry = dataclasses.replace(get_method("noop"), name="many", cls=Many)
    return canonical_json(normal_params(entry, params))


@pytest.mark.parametrize(
    "params",
    [
        {"rate": 0.5},
        {"n": 3, "rate": 0.50},
        {"layers": [8, 8]},
        {"layers": (8, 8)},
        {"ends": [0, 1]},
        {"ends": (-0.0, 1)},
        {"rates": {"b": 2, "a": 1}},
        {"kind": "l2", "is_on": True, "either": None},
        {"share": 1},
        {"anything": 1.0},
        {"wrong": None},
        {"endless": math.inf},
    ],
)
def test_a_default_that_is_spelt_out_is_no_parameter(params: dict[str, Any]) -> None:
    assert _spelt(**params) == "{}"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"rate": 2}, '{"rate":2.0}'),
        ({"rate": -0.0}, '{"rate":0.0}'),
        ({"rate": 0}, '{"rate":0.0}'),
        ({"layers": (4,)}, '{"layers":[4]}'),
        ({"rates": {"b": 1, "a": 1}}, '{"rates":{"a":1.0,"b":1.0}}'),
        # 1 and 1.0 may mean different things where both are allowed, or nothing is said
        ({"share": 1.0}, '{"share":1.0}'),
        ({"either": 1}, '{"either":1}'),
        ({"either": 1.0}, '{"either":1.0}'),
        ({"anything": 1}, '{"anything":1}'),
        ({"anything": True}, '{"anything":true}'),
    ],
)
def test_parameters_have_one_spelling(params: dict[str, Any], expected: str) -> None:
    assert _spelt(**params) == expected


@pytest.mark.parametrize(
    "params",
    [
        {"n": True},
        {"n": 3.0},
        {"is_on": 1},
        {"layers": (True, 8)},
        {"kind": "L2"},
        {"rate": math.inf},
        {"rate": 10**400},
        {"wrong": "x"},
    ],
)
def test_what_is_equal_only_to_python_is_refused(params: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expects"):
        _spelt(**params)


def test_a_method_without_parameters_keeps_its_trial_ids() -> None:
    """Results recorded before parameters had one spelling stay done."""
    assert [normal_params(entry, {}) for entry in methods().values()] == [{}] * len(methods())
    for entry in methods().values():
        known = [] if entry.cls.__init__ is object.__init__ else inspect.signature(entry.cls).parameters.values()
        assert normal_params(entry, {p.name: p.default for p in known}) == {}, entry.name
