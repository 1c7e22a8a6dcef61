"""Optimisers that wrap a library: the same suggestions as the library alone, and no harm from failures and pending evaluations."""

from __future__ import annotations

import copy
import importlib.util
import math
from collections import deque
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import (
    AndConjunction,
    Categorical,
    Configuration,
    ConfigurationSpace,
    Constant,
    EqualsCondition,
    Float,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    GreaterThanCondition,
    InCondition,
    Integer,
    OrConjunction,
    OrdinalHyperparameter,
)

from benchbench.contracts.context import Context
from benchbench.contracts.hpo import HPOAdapter, HPOBudget, Observation, Problem, ProblemInfo, Suggestion
from benchbench.registry import create_method, get_loader

MakeContext = Callable[..., Context]
Loss = Callable[[Configuration], float]

slow = pytest.mark.slow
SLOW = [pytest.param(name, marks=slow) for name in ("gp", "smac_rf", "botorch_logei")]
CONTINUOUS = ["tpe", "cma_es", *SLOW]
MIXED = ["tpe", *SLOW]


def small_space() -> ConfigurationSpace:
    """Every kind of parameter; conditions on conditional parameters, with `and` and with `or`."""
    space = ConfigurationSpace()
    space.add(
        learner := Categorical("learner", ["svm", "forest", "nothing"]),
        rate := Float("rate", (1e-4, 1.0), log=True),
        share := Float("share", (-2.0, 3.0)),
        Constant("version", "v1"),
        Categorical("only", ["one"]),
        kernel := Categorical("kernel", ["rbf", "linear"]),
        width := Float("width", (1e-3, 10.0), log=True),
        trees := Integer("trees", (1, 300), log=True),
        leaf := Integer("leaf", (-3, 5)),
        depth := OrdinalHyperparameter("depth", ["low", "middle", "high"]),
        both := Float("both", (0.0, 1.0)),
    )
    space.add(
        EqualsCondition(kernel, learner, "svm"),
        EqualsCondition(width, kernel, "rbf"),
        EqualsCondition(trees, learner, "forest"),
        InCondition(depth, learner, ["forest", "svm"]),
        OrConjunction(EqualsCondition(leaf, learner, "forest"), EqualsCondition(leaf, learner, "nothing")),
        AndConjunction(EqualsCondition(both, learner, "forest"), GreaterThanCondition(both, share, 0.0)),
    )
    assert rate.log
    return space


def mixed_space() -> ConfigurationSpace:
    """Every kind of parameter without conditions, and a forbidden combination."""
    space = ConfigurationSpace()
    space.add(
        learner := Categorical("learner", ["svm", "forest", "nothing"]),
        depth := OrdinalHyperparameter("depth", ["low", "middle", "high"]),
        Float("rate", (1e-4, 1.0), log=True),
        Integer("leaf", (-3, 5)),
        Constant("version", "v1"),
    )
    space.add(ForbiddenAndConjunction(ForbiddenEqualsClause(learner, "svm"), ForbiddenEqualsClause(depth, "high")))
    return space


def mixed_loss(config: Configuration) -> float:
    return float(config["leaf"] ** 2 + math.log10(config["rate"]) ** 2 + len(config["learner"]) + len(config["depth"]))


def small_loss(config: Configuration) -> float:
    """A loss that depends on everything active."""
    value = {"svm": 0.3, "forest": 0.0, "nothing": 1.0}[str(config["learner"])] + math.log10(config["rate"]) ** 2 / 8
    value += 0.1 * config["share"] ** 2 + 0.2 * abs(math.log10(config.get("width", 1.0)) - 0.5)
    return value + abs(math.log(config.get("trees", 20)) - 4) / 5 + 0.03 * config.get("leaf", 0) + config.get("both", 0)


@pytest.fixture
def branin() -> Problem:
    return get_loader("synthetic").load("branin", {"function": "branin"})


def branin_loss(problem: Problem) -> Loss:
    def loss(config: Configuration) -> float:
        found = problem.evaluate(config, 1.0, np.random.default_rng(0)).loss
        assert found is not None
        return found

    return loss


def set_up(
    name: str, space: ConfigurationSpace, context: Context, n: int, workers: int = 1, **params: Any
) -> HPOAdapter:
    adapter: HPOAdapter = create_method(name, params)
    info = ProblemInfo(name="test", space=space)
    if reason := adapter.supports(info):
        pytest.skip(reason)
    adapter.setup(info, budget=HPOBudget(evaluations=n, workers=workers), context=context)
    return adapter


def drive(adapter: HPOAdapter, loss: Loss, failing: Container[int] = ()) -> list[Suggestion]:
    """Spend the budget as the protocol does; evaluations end in the order in which they began."""
    n, pending, asked = int(adapter.budget.evaluations), deque[tuple[int, Suggestion]](), list[Suggestion]()
    while len(asked) < n or pending:
        while len(pending) < adapter.budget.workers and len(asked) < n:
            suggestion = adapter.ask()
            assert suggestion is not None
            assert suggestion.config.config_space is adapter.problem.space
            pending.append((len(asked), suggestion))
            asked.append(suggestion)
        i, suggestion = pending.popleft()
        adapter.tell(Observation(suggestion, None if i in failing else loss(suggestion.config), 1.0))
    return asked


def vectors(suggestions: list[Suggestion]) -> np.ndarray[Any, Any]:
    return np.stack([s.config.get_array() for s in suggestions])


# the library alone


def optuna_alone(
    sampler: Any, n: int, suggest: Callable[[Any], dict[str, Any]], loss: Callable[..., float]
) -> list[Any]:
    import optuna

    study, found = optuna.create_study(sampler=sampler), []
    for _ in range(n):
        trial = study.ask()
        found.append(suggest(trial))
        study.tell(trial, loss(found[-1]))
    return found


def optuna_sampler(name: str, seed: int) -> Any:
    from optuna import samplers

    if name == "tpe":
        return samplers.TPESampler(seed=seed, multivariate=True)
    if name == "cma_es":
        return samplers.CmaEsSampler(seed=seed)
    return samplers.GPSampler(seed=seed)


@pytest.mark.parametrize(("name", "n"), [("tpe", 40), ("cma_es", 40), pytest.param("gp", 18, marks=slow)])
def test_optuna_alone_suggests_the_same(name: str, n: int, branin: Problem, make_context: MakeContext) -> None:
    space, loss, context = branin.info.space, branin_loss(branin), make_context()
    ours = drive(set_up(name, space, context, n), loss)

    def suggest(trial: Any) -> dict[str, Any]:
        return {"x0": trial.suggest_float("x0", -5.0, 10.0), "x1": trial.suggest_float("x1", 0.0, 15.0)}

    def objective(x: dict[str, float]) -> float:
        return loss(Configuration(space, vector=np.array([space[k].to_vector(v) for k, v in x.items()])))

    alone = optuna_alone(optuna_sampler(name, context.derive(name)), n, suggest, objective)
    assert [s.tag.params for s in ours] == alone
    for suggestion, values in zip(ours, alone, strict=True):
        assert dict(suggestion.config) == pytest.approx(values, rel=1e-12, abs=1e-12)


def test_optuna_alone_suggests_the_same_with_conditions(make_context: MakeContext) -> None:
    space, context, n = small_space(), make_context(), 60
    ours = drive(set_up("tpe", space, context, n), small_loss)

    def suggest(trial: Any) -> dict[str, Any]:
        # in the order of the space: the draws of a trial follow one another
        x = {"learner": trial.suggest_categorical("learner", ["svm", "forest", "nothing"])}
        trial.suggest_categorical("only", ["one"])
        x["rate"] = trial.suggest_float("rate", 1e-4, 1.0, log=True)
        x["share"] = trial.suggest_float("share", -2.0, 3.0)
        if x["learner"] == "forest" and x["share"] > 0:
            x["both"] = trial.suggest_float("both", 0.0, 1.0)
        if x["learner"] != "nothing":
            x["depth"] = ["low", "middle", "high"][trial.suggest_int("depth", 0, 2)]
        if x["learner"] == "svm":
            x["kernel"] = trial.suggest_categorical("kernel", ["rbf", "linear"])
        if x["learner"] != "svm":
            x["leaf"] = trial.suggest_int("leaf", -3, 5)
        if x["learner"] == "forest":
            x["trees"] = trial.suggest_int("trees", 1, 300, log=True)
        if x.get("kernel") == "rbf":
            x["width"] = trial.suggest_float("width", 1e-3, 10.0, log=True)
        return {"version": "v1", "only": "one", **x}

    def objective(x: dict[str, Any]) -> float:
        return small_loss(Configuration(space, values=x))

    alone = optuna_alone(optuna_sampler("tpe", context.derive("tpe")), n, suggest, objective)
    for suggestion, values in zip(ours, alone, strict=True):
        params = suggestion.tag.params
        assert set(suggestion.config) == set(values)
        for key, value in values.items():
            assert (params[key] if isinstance(value, float) else suggestion.config[key]) == value


@slow
@pytest.mark.filterwarnings("ignore:Mean of empty slice:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("kind", ["branin", "mixed"])
def test_smac_alone_suggests_the_same(kind: str, branin: Problem, make_context: MakeContext, tmp_path: Path) -> None:
    pytest.importorskip("smac")
    from smac import HyperparameterOptimizationFacade, Scenario

    # conditions, and whole numbers on a logarithmic scale, are drawn by our own sampling
    space, loss = (branin.info.space, branin_loss(branin)) if kind == "branin" else (mixed_space(), mixed_loss)
    n, context = 16, make_context()
    before = copy.deepcopy(space)
    ours = drive(set_up("smac_rf", space, context, n), loss)
    # SMAC seeds the space that it is given: that must not be the problem's
    assert space.sample_configuration() == before.sample_configuration()

    alone = []

    def target(config: Configuration, seed: int) -> float:
        alone.append(config.get_array())
        return loss(config)

    scenario = Scenario(
        copy.deepcopy(space),
        output_directory=tmp_path / "alone",
        deterministic=True,
        n_trials=n,
        seed=context.derive("smac_rf"),
    )
    HyperparameterOptimizationFacade(scenario, target, logging_level=False).optimize()
    np.testing.assert_array_equal(vectors(ours), np.stack(alone))


@slow
def test_botorch_alone_suggests_the_same(branin: Problem, make_context: MakeContext) -> None:
    space, loss, context, n = branin.info.space, branin_loss(branin), make_context(), 14
    ours = drive(set_up("botorch_logei", space, context, n), loss)

    import torch
    from botorch import fit_gpytorch_mll
    from botorch.acquisition import LogExpectedImprovement
    from botorch.models import SingleTaskGP
    from botorch.optim import optimize_acqf
    from botorch.utils.sampling import manual_seed
    from gpytorch.mlls import ExactMarginalLogLikelihood

    from benchbench.methods.hpo._spaces import from_unit, to_unit

    design = torch.quasirandom.SobolEngine(2, scramble=True, seed=context.derive("sobol")).draw(10).double()
    bounds = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    x, y = torch.empty(0, 2, dtype=torch.float64), torch.empty(0, 1, dtype=torch.float64)
    for i in range(n):
        if i < len(design):
            point = design[i]
        else:
            with manual_seed(context.derive("maximise", i)):
                model = SingleTaskGP(x, y)
                fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
                acquisition = LogExpectedImprovement(model, best_f=y.max())
                point = optimize_acqf(acquisition, bounds, q=1, num_restarts=10, raw_samples=512)[0][0]
        config = from_unit(space, point.numpy())
        np.testing.assert_array_equal(ours[i].config.get_array(), config.get_array())
        x = torch.cat([x, torch.from_numpy(to_unit(config))[None]])
        y = torch.cat([y, torch.tensor([[-loss(config)]], dtype=torch.float64)])


# every adapter


@pytest.mark.parametrize("name", MIXED)
def test_only_active_parameters_are_suggested(name: str, make_context: MakeContext) -> None:
    found = drive(set_up(name, small_space(), make_context(), 14), small_loss)
    for suggestion in found:
        suggestion.config.check_valid_configuration()
        assert suggestion.config["version"] == "v1"
        if name in ("tpe", "gp"):
            assert set(suggestion.tag.params) == set(suggestion.config) - {"version"}
    assert len({str(s.config["learner"]) for s in found}) > 1


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_failures_and_pending_evaluations_do_no_harm(
    name: str, workers: int, branin: Problem, make_context: MakeContext
) -> None:
    n = 22
    # five at the very start, then some in the middle, one of them while the model is in use
    failing = {0, 1, 2, 3, 4, 9, 10, n - 4}
    found = drive(set_up(name, branin.info.space, make_context(), n, workers), branin_loss(branin), failing)
    assert len(found) == n
    points = [s.config.get_array().tobytes() for s in found]
    repeated = {point for point in points if points.count(point) > 1}
    # Optuna's Gaussian process forgets failures: the corner that was best before is best again
    assert repeated <= ({points[i] for i in failing} if name == "gp" else set())
    assert np.isfinite(vectors(found)).all()


@pytest.mark.parametrize("name", MIXED)
def test_failures_in_conditional_spaces_do_no_harm(name: str, make_context: MakeContext) -> None:
    adapter = set_up(name, small_space(), make_context(), 20, workers=3)
    for suggestion in drive(adapter, small_loss, {*range(5), 8, 16}):
        suggestion.config.check_valid_configuration()


@pytest.mark.parametrize("name", ["tpe", "cma_es", "smac_rf", pytest.param("botorch_logei", marks=slow)])
def test_nothing_but_failures_does_no_harm(name: str, branin: Problem, make_context: MakeContext) -> None:
    assert len(drive(set_up(name, branin.info.space, make_context(), 15), branin_loss(branin), range(15))) == 15


@pytest.mark.parametrize("name", CONTINUOUS)
def test_same_seed_same_suggestions(name: str, branin: Problem, make_context: MakeContext) -> None:
    loss, n = branin_loss(branin), 16
    first, second, other = (
        vectors(drive(set_up(name, branin.info.space, make_context(seed), n, workers=2), loss, {3}))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


@pytest.mark.parametrize("name", MIXED)
def test_forbidden_configurations_are_not_suggested(name: str, make_context: MakeContext) -> None:
    space = ConfigurationSpace()
    space.add(
        a := Categorical("a", ["p", "q", "r"], default="q"), b := Categorical("b", ["s", "t"]), Float("c", (0.0, 1.0))
    )
    # what would be best is forbidden, so that a model without knowledge of it asks for it all the time
    space.add(ForbiddenAndConjunction(ForbiddenEqualsClause(a, "p"), ForbiddenEqualsClause(b, "s")))
    loss = {"p": 0.0, "q": 1.0, "r": 2.0, "s": 0.0, "t": 1.0}
    adapter = set_up(name, space, make_context(), 18)
    for suggestion in drive(adapter, lambda c: loss[str(c["a"])] + loss[str(c["b"])] + c["c"]):
        suggestion.config.check_valid_configuration()


@pytest.mark.parametrize("name", ["tpe", "smac_rf", pytest.param("botorch_logei", marks=slow)])
def test_small_finite_spaces_come_to_an_end_or_repeat(name: str, make_context: MakeContext) -> None:
    space = ConfigurationSpace({"a": ["p", "q"], "b": (1, 2)})
    adapter = (
        set_up(name, space, make_context(), 16, n_initial=2)
        if name == "botorch_logei"
        else set_up(name, space, make_context(), 16)
    )
    seen = set()
    for i in range(16):
        suggestion = adapter.ask()
        if suggestion is None:
            break
        seen.add(suggestion.config.get_array().tobytes())
        adapter.tell(Observation(suggestion, float(i % 3), 1.0))
    assert len(seen) == 4


def test_cma_es_takes_numbers_alone(make_context: MakeContext) -> None:
    adapter: HPOAdapter = create_method("cma_es", {})
    reason = adapter.supports(ProblemInfo(name="test", space=small_space()))
    assert reason is not None
    assert "categories" in reason
    for margin in (False, True):
        space = ConfigurationSpace({"a": (1, 9)})
        assert len(drive(set_up("cma_es", space, make_context(), 30, margin=margin), lambda c: float(c["a"]))) == 30


def test_margin_keeps_whole_numbers_moving_on_both_scales(make_context: MakeContext) -> None:
    """Optuna's margin leaves out whole numbers on a logarithmic scale: they got stuck as without it."""
    space = ConfigurationSpace()
    space.add(Integer("k", (1, 64), log=True), Integer("n", (0, 9)), Float("x", (0.0, 1.0)), Float("y", (0.0, 1.0)))

    def loss(config: Configuration) -> float:
        far = abs(math.log(config["k"] / 2)) + 0.1 * abs(config["n"] - 3)
        return far + float((config["x"] - 0.4) ** 2 + (config["y"] - 0.6) ** 2)

    def last(name: str, *, margin: bool) -> list[set[int]]:
        """Return which numbers each search suggests at the end, when it has found the best ones."""
        searches = [drive(set_up("cma_es", space, make_context(s), 300, margin=margin), loss) for s in range(2)]
        return [{s.config[name] for s in asked[-100:]} for asked in searches]

    assert last("k", margin=False) == [{2}, {2}]
    # its neighbours on both sides keep a probability of at least 1 in 64 an evaluation together
    moving = last("k", margin=True)
    assert all({2} < found and found & {1, 3} for found in moving), moving


def test_margin_cuts_a_logarithmic_scale_where_optuna_rounds() -> None:
    """By its whole table: where a value is, where the next one begins, and what a place stands for."""
    from benchbench.methods.hpo._margin import UnevenCMAwM

    made = UnevenCMAwM(
        mean=np.full(3, 0.5),
        sigma=1 / 6,
        bounds=np.array([[0.0, 1.0]] * 3),
        steps=np.array([1 / 63, 0.0, 1 / 9]),
        ends=np.array([(1, 64), (1, 2), (1, 2)]),
        is_log=np.array([True, False, False]),
        seed=0,
    )
    for k in range(1, 65):
        indices = np.array([k - 1, k % 10])
        place = made._get_discrete_param_values(indices)
        np.testing.assert_allclose(place, [math.log(k) / math.log(64), (k % 10) / 9], atol=1e-12)
        assert made._get_discrete_param_indices(place).tolist() == indices.tolist()
        if k < 64:
            limit = made._get_discrete_param_limit_values(np.array([k - 1, 0]))[0]
            assert round(math.exp(limit * math.log(64)), 9) == k + 0.5
            beside = [made._get_discrete_param_indices(np.array([limit + e, 0.0]))[0] + 1 for e in (-1e-9, 1e-9)]
            assert beside == [k, k + 1]
    assert made._get_discrete_param_indices(np.array([-1e9, 0.0]))[0] == 0
    assert made._get_discrete_param_indices(np.array([1e9, 0.0]))[0] == 63


@pytest.mark.parametrize("name", ["smac_rf", "botorch_logei"])
def test_missing_library_is_a_reason_to_decline(name: str, branin: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter: HPOAdapter = create_method(name, {})
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    reason = adapter.supports(branin.info)
    assert reason is not None
    assert "pip install 'benchbench[hpo]'" in reason
