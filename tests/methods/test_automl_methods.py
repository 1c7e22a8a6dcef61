"""Methods for tables: equal to their libraries called by hand, at ease with categories and gaps, within their budgets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchbench.contracts.automl import METRICS, AutoMLBudget, TableInfo
from benchbench.execution import supervisor
from benchbench.methods.automl import _forests, _models, linear_model, tuned_random_forest
from benchbench.methods.automl._encoding import Codes, Imputed, OneHot, known_numbers
from benchbench.methods.automl._models import Growing, Stopwatch
from benchbench.methods.automl.linear_model import LinearModel
from benchbench.methods.automl.tuned_random_forest import TunedRandomForest, candidates
from benchbench.registry import create_method
from benchbench.seeding import derive_seed

METHODS = (
    "constant_predictor",
    "extra_trees",
    "hist_gradient_boosting",
    "linear_model",
    "random_forest",
    "tuned_random_forest",
)
# small enough for a test
PARAMS: dict[str, dict[str, Any]] = {
    "extra_trees": {"n_trees": 20},
    "hist_gradient_boosting": {"n_rounds": 20},
    "random_forest": {"n_trees": 20},
    "tuned_random_forest": {"n_trees": 20, "n_tuning_trees": 5},
}


def by_hand(folder: Path, dataset: int, task: int, fold: int, target: str, n_trees: int) -> float:
    """Return a random forest's AUC: the original files, scikit-learn, and nothing of ours but the seed."""
    import arff
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.metrics import roc_auc_score
    from sklearn.preprocessing import OrdinalEncoder

    home = folder / "openml" / "org" / "openml" / "www"
    with (home / f"datasets/{dataset}/dataset.arff").open() as file:
        content = arff.load(file)
    declared = dict(content["attributes"])
    frame = pd.DataFrame(content["data"], columns=list(declared))
    y = frame.pop(target).map({label: i for i, label in enumerate(declared.pop(target))}).to_numpy()
    with (home / f"tasks/{task}/datasplits.arff").open() as file:
        rows = arff.load(file)["data"]
    train, test = ([int(r[1]) for r in rows if r[0] == part and int(r[3]) == fold] for part in ("TRAIN", "TEST"))
    parts = []
    for name, kind in declared.items():
        if isinstance(kind, list):
            encoder: Any = OrdinalEncoder(
                categories=[kind],
                handle_unknown="use_encoded_value",
                unknown_value=-1,
                encoded_missing_value=-1,
            )
            frame[name] = frame[name].astype(object).where(frame[name].notna(), np.nan)
        else:
            encoder = SimpleImputer(strategy="median", keep_empty_features=True)
            frame[name] = frame[name].astype(float)
        parts.append((name, encoder, [name]))
    encoded = ColumnTransformer(parts).fit(frame.iloc[train])
    forest = RandomForestClassifier(n_estimators=n_trees, random_state=derive_seed(fold, "forest") % 2**31)
    forest.fit(encoded.transform(frame.iloc[train]), y[train])
    return float(roc_auc_score(y[test], forest.predict_proba(encoded.transform(frame.iloc[test]))[:, 1]))


@pytest.mark.usefixtures("zygotes")
@pytest.mark.parametrize(
    ("task", "dataset", "target", "fold"),
    [
        pytest.param(29, 29, "class", 3, id="categories and missing values of both kinds"),
        pytest.param(3021, 38, "Class", 1, id="6064 missing values"),
        pytest.param(3, 3, "class", 0, id="official splits"),
    ],
)
def test_the_forest_loses_nothing_on_the_way(
    data_folder: Path, make_request: Any, task: int, dataset: int, target: str, fold: int
) -> None:
    request = make_request(
        "random_forest",
        loader="openml",
        options={"task": task},
        params={"n_trees": 50},
        seed=fold,
        time_limit_seconds=200,
        fit_seconds=100.0,
    )
    outcome = supervisor.execute(request)
    assert outcome.metric == "auc"
    assert outcome.score == pytest.approx(by_hand(data_folder, dataset, task, fold, target, 50), abs=1e-12)


COLUMNS = {"size": "numeric", "gap": "numeric", "colour": "nominal", "note": "string"}
CLASSES = {"binary": ("no", "yes"), "multiclass": ("c", "never", "a", "b"), "regression": ()}


def table(kind: str, n: int = 90, seed: int = 0) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """Return rows with every kind of column and gaps in all of them, and a target that the first one almost tells."""
    rng = np.random.default_rng(seed)
    size = rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "size": size,
            "gap": np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n)),
            "colour": pd.Categorical.from_codes(rng.integers(-1, 3, n), ["red", "unused", "blue"]),
            "note": pd.Series(rng.choice(["x", "y", "z"], n), dtype="str").where(rng.random(n) < 0.9),
        }
    )
    if kind == "regression":
        return frame, pd.Series(3 * size + rng.normal(size=n) / 10)
    places = np.digitize(size, [0] if kind == "binary" else [-0.5, 0.5])
    codes = places if kind == "binary" else np.array([0, 2, 3])[places]
    return frame, pd.Series(pd.Categorical.from_codes(codes, list(CLASSES[kind])))


@pytest.fixture
def fitted(make_harness: Any) -> Callable[..., Any]:
    """Fit a method to a made-up table, or to given rows."""

    def fit(method: str, kind: str, rows: Any = None, target: Any = None, **more: Any) -> Any:
        if rows is None:
            rows, target = table(kind)
        adapter = create_method(method, more.pop("params", PARAMS.get(method, {})))
        info = TableInfo(
            name="t",
            kind=kind,
            metric=METRICS[kind],
            target="target",
            classes=CLASSES[kind],
            columns={n: COLUMNS[n] for n in rows},
            n_rows=len(rows),
        )
        budget = AutoMLBudget(seconds=more.pop("seconds", 60.0), threads=more.pop("threads", 1), memory_mib=4096)
        points: list[Any] = more.pop("points", [])
        harness = make_harness(**more)
        adapter.setup(info, budget=budget, context=harness.context)
        with harness.recorded() as reported:
            adapter.fit(rows, target)
        points += reported
        return adapter

    return fit


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("method", METHODS)
def test_gaps_strangers_and_absent_classes(fitted: Callable[..., Any], method: str, kind: str) -> None:
    adapter = fitted(method, kind)
    rows, target = table(kind, n=40, seed=1)
    odd = rows.assign(
        colour=pd.Categorical(["green", None] * 20, categories=["green", "red", "unused", "blue"]),
        note=pd.Series(["never seen"] * 40, dtype="str"),
        gap=np.nan,
    )
    if kind == "regression":
        values = adapter.predict(odd)
        assert values.shape == (40,) and np.isfinite(values).all()
        better = np.abs(adapter.predict(rows) - target).mean() < 0.5 * np.abs(target - target.median()).mean()
    else:
        p = adapter.predict_proba(odd)
        assert p.shape == (40, len(CLASSES[kind]))
        assert p.min() >= 0 and np.allclose(p.sum(axis=1), 1)
        assert (p[:, 1] == 0).all() or kind == "binary"
        assert adapter.predict(odd).tolist() == p.argmax(axis=1).tolist()
        better = (adapter.predict(rows) == target.cat.codes).mean() > 0.8
    assert better == (method != "constant_predictor")


@pytest.mark.parametrize("method", METHODS)
def test_rows_with_nothing_in_them(fitted: Callable[..., Any], method: str) -> None:
    rows, target = table("binary", n=30)
    empty = rows.assign(gap=np.nan, colour=pd.Categorical([None] * 30, categories=["red"]))
    adapter = fitted(method, "binary", empty, target)
    assert np.isfinite(adapter.predict_proba(empty)).all()
    only_text = rows[["note", "colour"]]
    assert fitted(method, "binary", only_text, target).predict(only_text).shape == (30,)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("method", METHODS)
def test_infinite_and_too_large_numbers_are_missing_ones(fitted: Callable[..., Any], method: str, kind: str) -> None:
    rows, target = table(kind, n=60)
    odd, gaps = (
        rows.assign(gap=[*values, *rows["gap"][4:]]) for values in ([np.inf, -np.inf, 1e39, -3e300], [np.nan] * 4)
    )
    found = [fitted(method, kind, fit_on, target).predict(asked) for fit_on in (odd, gaps) for asked in (odd, gaps)]
    assert all(np.array_equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize("method", METHODS)
def test_no_features(method: str) -> None:
    for kind in CLASSES:
        info = TableInfo(
            name="t", kind=kind, metric=METRICS[kind], target="y", classes=CLASSES[kind], columns={}, n_rows=4
        )
        reason = create_method(method, {}).supports(info)
        assert (reason is None) == (method == "constant_predictor")
        assert reason is None or "needs features, and this table has none" in reason


@pytest.mark.parametrize("method", METHODS)
def test_one_class_only_and_few_rows(fitted: Callable[..., Any], method: str) -> None:
    rows, target = table("multiclass", n=90)
    alike = (target == "a").to_numpy()
    adapter = fitted(method, "multiclass", rows[alike].reset_index(drop=True), target[alike].reset_index(drop=True))
    assert adapter.predict_proba(rows).tolist() == [[0, 0, 1, 0]] * 90
    # a class with one row, so that folds are without it
    few = rows.head(7)
    codes = pd.Series(pd.Categorical.from_codes([0, 0, 0, 2, 2, 2, 3], list(CLASSES["multiclass"])))
    assert np.allclose(fitted(method, "multiclass", few, codes).predict_proba(few).sum(axis=1), 1)


@pytest.mark.parametrize("method", METHODS)
def test_the_seed_decides_and_rows_are_left_alone(fitted: Callable[..., Any], method: str) -> None:
    rows, target = table("multiclass")
    before = rows.copy(deep=True), target.copy(deep=True)
    found = [
        fitted(method, "multiclass", rows, target, seed=seed, threads=threads).predict_proba(
            table("multiclass", seed=9)[0]
        )
        for seed, threads in ((1, 1), (1, 2), (2, 1))
    ]
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2]) == (
        method in ("constant_predictor", "hist_gradient_boosting", "linear_model")
    )
    pd.testing.assert_frame_equal(rows, before[0])
    pd.testing.assert_series_equal(target, before[1])


def test_the_constant_is_amlbs(fitted: Callable[..., Any]) -> None:
    rows, target = table("binary", n=5)
    target = pd.Series(pd.Categorical.from_codes([0, 1, 1, 1, 0], ["no", "yes"]))
    assert fitted("constant_predictor", "binary", rows, target).predict_proba(rows).tolist() == [[0.4, 0.6]] * 5
    values = fitted("constant_predictor", "regression", rows, pd.Series([1.0, 2.0, 3.0, 4.0, 100.0]))
    assert values.predict(rows).tolist() == [3.0] * 5


@pytest.mark.parametrize("n_classes", [2, 3])
def test_growing_in_steps_changes_nothing(n_classes: int) -> None:
    """To the last bit, since how many steps there are depends on the time."""
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 4)), rng.integers(0, n_classes, 300)
    for cls, size, total in (
        (RandomForestClassifier, "n_estimators", 45),
        (HistGradientBoostingClassifier, "max_iter", 30),
    ):
        once = cls(**{size: total}, random_state=5).fit(x, y).predict_proba(x)
        stepped = Growing(cls(random_state=5), x, y, size)
        for step in (1, 2, 7, 20):
            stepped.add(step)
        assert np.array_equal(stepped.until(total, Stopwatch(60)).predict_proba(x), once)


class Clock:
    """Stands in for the module `time`; moves by what is worked alone."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


class Slow:
    """Takes `fixed` seconds for each fit, and those of `per_part` for each part that it adds."""

    def __init__(self, clock: Clock, per_part: Callable[[int], float], fixed: float = 0.0) -> None:
        self.clock, self.per_part, self.fixed, self.size, self.steps = clock, per_part, fixed, 0, 0

    def set_params(self, **params: Any) -> Slow:
        self.target = params.get("n", self.size)
        return self

    def fit(self, x: Any, y: Any) -> None:
        self.clock.now += self.fixed + sum(self.per_part(i) for i in range(self.size, self.target))
        self.size, self.steps = self.target, self.steps + 1


@pytest.mark.parametrize(
    ("budget", "fixed", "per_part", "least"),
    [
        pytest.param(5.0, 0.0, lambda i: 1.2, 3, id="the table of 150,000 rows: some trees, in place of fifteen"),
        pytest.param(5.0, 0.0, lambda i: 4.4, 1, id="one tree fits"),
        pytest.param(3.0, 0.0, lambda i: 0.01, 250, id="many do"),
        pytest.param(3.0, 0.2, lambda i: 0.01, 90, id="each step costs, however small it is"),
        pytest.param(10.0, 0.0, lambda i: 1.0 if i % 2 else 1.3, 6, id="uneven ones"),
        pytest.param(60.0, 0.0, lambda i: 0.1 + 0.005 * i, 60, id="later ones take longer"),
    ],
)
def test_it_grows_from_one_part_on_and_ends_within_the_budget(
    monkeypatch: pytest.MonkeyPatch, budget: float, fixed: float, per_part: Callable[[int], float], least: int
) -> None:
    clock = Clock()
    monkeypatch.setattr(_models, "time", clock)
    slow = Slow(clock, per_part, fixed)
    watch = Stopwatch(budget)
    Growing(slow, None, None, "n").until(100_000, watch)
    assert slow.size >= least
    assert clock.now <= budget
    # a step costs, so they become larger
    assert slow.steps < 25


def test_side_by_side_means_as_many_as_there_are_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four trees side by side take twice as long as one alone: a busy machine."""
    clock = Clock()
    monkeypatch.setattr(_models, "time", clock)
    slow = Slow(clock, lambda i: 1.0 if i == 0 else 0.5)
    Growing(slow, None, None, "n", at_once=4).until(500, Stopwatch(10.0))
    assert 9 <= slow.size < 20
    assert clock.now <= 10.0


def test_the_first_part_is_fitted_whatever_time_is_left_and_a_size_is_met() -> None:
    clock = Clock()
    over = Slow(clock, lambda i: 0.0)
    Growing(over, None, None, "n").until(500, Stopwatch(-1.0))
    assert over.size == 1
    whole = Slow(clock, lambda i: 0.0)
    Growing(whole, None, None, "n").until(500, Stopwatch(60.0))
    assert (whole.size, whole.steps) == (500, 6)


def test_a_tree_that_would_be_stopped_is_refused_before_it_is_grown(
    fitted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_forests, "LEAST_ROWS_TO_SAMPLE", 90)
    monkeypatch.setattr(_forests, "fit_limit_seconds", lambda seconds: 1e-5)
    for method in ("random_forest", "extra_trees", "tuned_random_forest"):
        with pytest.raises(
            RuntimeError, match=r"a single tree of 90 rows and 4 columns takes about .* larger budget than 2 s"
        ):
            fitted(method, "regression", seconds=2.0)


@pytest.mark.parametrize("seconds_per_tree", [4.0, 1.0, 0.05, 0.002])
def test_the_tuned_forest_ends_within_its_budget(
    fitted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, seconds_per_tree: float
) -> None:
    """A tree costs as much more as it looks at more features; tuning included."""
    from sklearn.ensemble import RandomForestClassifier

    clock = Clock()

    class Costly(RandomForestClassifier):  # type: ignore[misc]
        def fit(self, x: Any, y: Any) -> Any:
            n_new = self.n_estimators - (
                len(self.estimators_) if self.warm_start and hasattr(self, "estimators_") else 0
            )
            clock.now += n_new * seconds_per_tree * self.max_features / 2
            return super().fit(x, y)

    for module in (_models, tuned_random_forest):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(TunedRandomForest, "forest", lambda adapter, **params: Costly(random_state=1, **params))
    points: list[Any] = []
    adapter = fitted("tuned_random_forest", "binary", params={}, seconds=5.0, points=points)
    assert clock.now <= 5.0
    assert adapter.model.n_estimators >= min(500, 0.4 * (5.0 - clock.now) / seconds_per_tree)
    tried = [value for _, _, name, value in points if name == "max_features"]
    assert tried == ([] if seconds_per_tree >= 1 else candidates(4)[: len(tried)])
    assert len(tried) == {0.05: 0, 0.002: 4}.get(seconds_per_tree, 0)


def test_logistic_regression_ends_its_iterations_within_the_budget(
    fitted: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, target = table("multiclass", n=400)
    whole = fitted("linear_model", "multiclass", rows, target)
    n_whole = int(whole.model.n_iter_.max())
    assert n_whole > 10

    def after(adapter: Any, n: int, x: Any, y: Any) -> Any:
        clock.now += 0.5 * n
        return unpatched(adapter, n, x, y)

    clock, unpatched = Clock(), LinearModel._after
    monkeypatch.setattr(_models, "time", clock)
    monkeypatch.setattr(linear_model, "time", clock)
    monkeypatch.setattr(LinearModel, "_after", after)
    short = fitted("linear_model", "multiclass", rows, target, seconds=10.0)
    assert 1 < short.model.n_iter_.max() < n_whole
    assert clock.now <= 10.0
    # a time limit that does not bind changes nothing
    long = fitted("linear_model", "multiclass", rows, target, seconds=1e5)
    assert np.array_equal(long.predict_proba(rows), whole.predict_proba(rows))


def test_a_tuned_forest_within_a_short_budget(fitted: Callable[..., Any]) -> None:
    points: list[Any] = []
    adapter = fitted(
        "tuned_random_forest",
        "binary",
        params={"n_trees": 400, "n_tuning_trees": 5},
        seconds=0.05,
        points=points,
    )
    tried = [value for _, _, name, value in points if name == "max_features"]
    assert len(tried) < len(candidates(4))
    assert 1 <= adapter.model.n_estimators < 400


def test_candidates_are_amlbs() -> None:
    """Worked out by hand from AMLB's rule: sqrt(p), up to five below it, the rest above."""
    assert candidates(30) == [5, 1, 2, 3, 4, 9, 13, 17, 21, 25, 30]
    assert candidates(4) == [2, 1, 3, 4]
    assert candidates(1) == [1]


def test_the_tuned_forest_tunes_by_the_tasks_metric(fitted: Callable[..., Any]) -> None:
    points: dict[str, list[tuple[float, float]]] = {}
    for kind in CLASSES:
        seen: list[Any] = []
        adapter = fitted("tuned_random_forest", kind, points=seen)
        values = [v for _, _, name, v in seen if name == "max_features"]
        points[kind] = list(zip((v for _, _, name, v in seen if name == "validation_score"), values, strict=True))
        assert values == [2, 1, 3, 4]
        assert adapter.model.max_features == max(points[kind])[1]
    assert all(0.8 < score <= 1 for score, _ in points["binary"])
    assert all(score < 0 for kind in ("multiclass", "regression") for score, _ in points[kind])


def test_what_float32_cannot_hold_is_missing() -> None:
    most = float(np.finfo(np.float32).max)
    kept = [most, -most, 1e-300, 0.0]
    column = pd.Series([*kept, np.inf, -np.inf, 3.5e38, -1e308, np.nan])
    np.testing.assert_array_equal(known_numbers(column), [*kept, *[np.nan] * 5])
    assert np.isinf(column[4])
    whole = pd.Series([2**62, -1])
    np.testing.assert_array_equal(known_numbers(whole), [2.0**62, -1.0])


def test_encodings() -> None:
    rows = pd.DataFrame(
        {
            "size": [1.0, 3.0, 5.0, np.nan],
            "colour": pd.Categorical(["b", None, "a", "b"], categories=["b", "c", "a"]),
            "note": pd.Series(["t", "s", None, "t"], dtype="str"),
        }
    )
    columns = {name: COLUMNS[name] for name in rows}
    nan = np.nan
    codes = Codes(columns).fit(rows)
    np.testing.assert_array_equal(codes.transform(rows), [[1, 0, 1], [3, nan, 0], [5, 2, nan], [nan, 0, 1]])
    # the same categories in another order
    other = rows.assign(colour=rows["colour"].cat.reorder_categories(["a", "b", "c"]))
    np.testing.assert_array_equal(codes.transform(other), codes.transform(rows))
    np.testing.assert_array_equal(
        Imputed(columns).fit(rows).transform(rows), [[1, 0, 1], [3, -1, 0], [5, 2, -1], [3, 0, 1]]
    )
    x = OneHot(columns).fit(rows).transform(rows)
    np.testing.assert_array_equal(x[:, 1:], [[1, 0, 0, 0, 1], [0, 0, 0, 1, 0], [0, 0, 1, 0, 0], [1, 0, 0, 0, 1]])
    assert x[:, 0].mean() == pytest.approx(0) and x[:, 0].std() == pytest.approx(1)
    kept = Codes(columns, max_categories=1).fit(rows)
    np.testing.assert_array_equal(kept.transform(rows)[:, 1], [0, nan, nan, 0])
