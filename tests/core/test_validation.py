from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from benchbench.errors import InputError, SuiteFileError
from benchbench.validation import fits, from_table


@dataclass(frozen=True, kw_only=True)
class Wheel:
    radius: float
    spokes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Cart:
    name: str
    front: Wheel
    others: tuple[Wheel, ...] = ()
    spare: Mapping[str, Wheel] = field(default_factory=dict)
    load: Mapping[str, int] = field(default_factory=dict)
    size: tuple[float, int] = (1.0, 1)
    steps: tuple[tuple[int, ...], ...] = ()
    grade: float | str = 0.0


WHEEL = {"radius": 0.5}


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        ("bool", [True], [1, 0, "yes", [1, 2], None]),
        ("int", [3, -1], [True, 1.0, "3", None]),
        ("float", [3, 0.5], [True, "abc", None, float("inf"), float("nan")]),
        ("str", ["x"], [1, None]),
        ("int | None", [3, None], [0.5, "3"]),
        ("typing.Optional[float]", [3, None], ["3"]),
        ("tuple[int, ...]", [(1, 2), [1, 2], []], [3, [1, "2"], "12"]),
        ("tuple[tuple[int, int], ...]", [[(1, 2)], [[1, 2], [3, 4]]], [[1, 2], [[1, 2, 3]]]),
        ("Sequence[float] | str", [[1, 0.5], "x"], [1, ["x"]]),
        ("list", [[1, "x"]], [1]),
        ("Literal['a', 'b', 1]", ["a", 1], ["c", True]),
        (int | None, [3, None], ["3"]),
        (list[int], [[3]], [["3"]]),
        ("Mapping[str, int]", [{}, {"a": 1}], ["a", {"a": "1"}, {1: 1}, [1]]),
        ("dict", [{1: "x"}], [[1]]),
        # not known here, so not checked
        ("NDArray[np.float32]", ["anything"], []),
        ("int if TYPE_CHECKING else", ["anything"], []),
    ],
)
def test_values_fit_annotations(annotation: Any, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if not fits(value, annotation)] == []
    assert [value for value in bad if fits(value, annotation)] == []


def test_tables_within_tables_are_read_and_lists_and_whole_numbers_converted() -> None:
    table = {
        "name": "c",
        "front": {"radius": 1, "spokes": 8},
        "others": [WHEEL, WHEEL],
        "spare": {"a": WHEEL},
        "load": {"hay": 3},
        "size": [2, 3],
        "steps": [[1, 2], []],
        "grade": 2,
    }
    cart = from_table(Cart, table, "cart.toml")
    assert cart == Cart(
        name="c",
        front=Wheel(radius=1.0, spokes=8),
        others=(Wheel(radius=0.5), Wheel(radius=0.5)),
        spare={"a": Wheel(radius=0.5)},
        load={"hay": 3},
        size=(2.0, 3),
        steps=((1, 2), ()),
        grade=2.0,
    )
    assert [type(v) for v in (cart.front.radius, *cart.size, cart.grade)] == [float, float, int, float]
    assert from_table(Cart, {"name": "c", "front": WHEEL, "grade": "A"}, "").grade == "A"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"nmae": "x"}, "cart.toml: unknown key 'nmae'; did you mean 'name'?"),
        ({5: "x"}, "cart.toml: unknown key 5; known: front, grade, load, name, others, size, spare, steps"),
        ({"front": {}}, "cart.toml: [front]: 'radius' is missing"),
        ({"front": {"radius": True}}, "cart.toml: [front]: radius: expected float, got True"),
        ({"front": {"radius": float("inf")}}, "cart.toml: [front]: radius: expected a finite float, got inf"),
        ({"front": {"radius": 1, "spokes": 1.0}}, "cart.toml: [front]: spokes: expected int, got 1.0"),
        ({"front": [WHEEL]}, "cart.toml: [front]: expected a table, got list"),
        ({"others": WHEEL}, "cart.toml: others: expected [[others]] tables, got {'radius': 0.5}"),
        ({"others": [WHEEL, 3]}, "cart.toml: [others[1]]: expected a table, got int"),
        ({"others": [{"radios": 1}]}, "cart.toml: [others[0]]: unknown key 'radios'; did you mean 'radius'?"),
        ({"spare": [WHEEL]}, "cart.toml: spare: expected [spare.NAME] tables, got [{'radius': 0.5}]"),
        ({"spare": {"a": {"radius": "1"}}}, "cart.toml: [spare.a]: radius: expected float, got '1'"),
        ({"load": {"hay": 0.5}}, "cart.toml: load: expected a table of int, got {'hay': 0.5}"),
        ({"size": [1, 2, 3]}, "cart.toml: size: expected tuple[float, int], got [1, 2, 3]"),
        ({"steps": [1]}, "cart.toml: steps: expected a list of tuple[int, ...], got [1]"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(changed: dict[Any, Any], says: str) -> None:
    with pytest.raises(SuiteFileError) as caught:
        from_table(Cart, {"name": "c", "front": WHEEL} | changed, "cart.toml", SuiteFileError)
    assert str(caught.value) == says


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (3, "it: expected a table, got int"),
        ({"front": WHEEL}, "it: 'name' is missing"),
        ({"name": "c"}, "it: a table [front] is missing"),
    ],
)
def test_what_is_missing(table: Any, says: str) -> None:
    with pytest.raises(InputError) as caught:
        from_table(Cart, table, "it")
    assert str(caught.value) == says
