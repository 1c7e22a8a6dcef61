"""Checks for adapters of every track that need no trial."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from dataclasses import fields

from benchbench.conformance.base import CheckFailed, NotApplicable
from benchbench.protocols.base import find_protocol
from benchbench.registry import MethodEntry
from benchbench.validation import fits

__all__ = ["CHECKS"]

HEAVY = ("torch", "numpy", "pandas", "sklearn", "scipy", "matplotlib", "pyarrow", "duckdb")
PRESETS = ("quick", "standard", "paper")
LEAST_DOCSTRING = 40


def check_card_is_complete(entry: MethodEntry) -> None:
    """The card names the method, its source and its properties."""
    card = entry.card
    for item in fields(card):
        value = getattr(card, item.name)
        if not fits(value, item.type):
            raise CheckFailed(f"{item.name} on the card must be {item.type}, got {value!r}")
    empty = [f for f in ("name", "title", "summary", "paper", "url", "family") if not getattr(card, f).strip()]
    if empty:
        raise CheckFailed(f"empty on the card: {', '.join(empty)}")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", card.name):
        raise CheckFailed(f"name {card.name!r} is not snake_case")
    if not card.url.startswith("https://"):
        raise CheckFailed(f"url {card.url!r} is not an https link to the paper")
    if not 1950 <= card.year <= 2100:
        raise CheckFailed(f"year {card.year} is not a year")
    protocol = find_protocol(card.track)
    # in other tracks the suite's preset sets the budget
    missing = [p for p in PRESETS if p not in card.iterations]
    if missing and protocol is not None and protocol.CARDS_STATE_ITERATIONS:
        raise CheckFailed(f"no iterations on the card for presets {', '.join(missing)} (0 means: not trained)")
    if not card.tasks or not card.devices:
        raise CheckFailed("tasks and devices must not be empty")


def check_docstring_names_the_source(entry: MethodEntry) -> None:
    """The module's docstring says which method it is and what differs from the paper."""
    text = (sys.modules[entry.module].__doc__ or "").strip()
    if len(text) < LEAST_DOCSTRING:
        got = f"its docstring has {len(text)} characters" if text else "it has none"
        raise CheckFailed(
            f"the module needs a docstring of at least {LEAST_DOCSTRING} characters: method, paper, what differs from it; {got}"
        )
    if str(entry.card.year) not in text and entry.card.url not in text:
        raise CheckFailed(f"the module's docstring names neither the year {entry.card.year} nor {entry.card.url}")


def check_import_is_light(entry: MethodEntry) -> None:
    """Importing the module imports nothing heavy."""
    if not entry.module.startswith("benchbench.") and "." not in entry.module:
        raise NotApplicable("the adapter is a loose file, imported with the registry")
    code = f"import sys, json, {entry.module}; print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    environment = {k: v for k, v in os.environ.items() if k != "BENCHBENCH_METHODS"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=120, check=False, env=environment
    )
    if done.returncode != 0:
        raise CheckFailed(f"a fresh interpreter cannot import {entry.module}: {done.stderr.strip().splitlines()[-1]}")
    heavy = json.loads(done.stdout)
    if heavy:
        raise CheckFailed(f"importing {entry.module} imports {', '.join(heavy)}; import them inside functions")


def check_constructor_only_stores(entry: MethodEntry) -> None:
    """The constructor stores its keyword arguments under their own names and does nothing else."""
    init = entry.cls.__init__
    parameters = [] if init is object.__init__ else list(inspect.signature(entry.cls).parameters.values())
    for p in parameters:
        if p.kind not in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
            raise CheckFailed(f"parameter {p.name!r} is variadic; parameters must be named")
        if p.default is p.empty:
            raise CheckFailed(f"parameter {p.name!r} has no default")
        try:
            json.dumps(p.default, allow_nan=False)
        except (TypeError, ValueError):
            raise CheckFailed(f"the default of {p.name!r} is not JSON data: {p.default!r}") from None
    stored = vars(entry.cls())
    expected = {p.name: p.default for p in parameters}
    if stored.keys() != expected.keys():
        odd = sorted(stored.keys() ^ expected.keys())
        raise CheckFailed(f"attributes after construction differ from the parameters by: {', '.join(odd)}")
    changed = [n for n, v in expected.items() if stored[n] is not v]
    if changed:
        raise CheckFailed(f"stored values differ from those given: {', '.join(changed)}")


CHECKS = (
    check_card_is_complete,
    check_docstring_names_the_source,
    check_import_is_light,
    check_constructor_only_stores,
)
