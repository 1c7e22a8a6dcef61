# make env: the environment in .venv; every other target makes it first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# tests read real data from here when it exists; see README, Data
export BENCHBENCH_DATA ?= $(wildcard ../shared/data)
ifeq ($(strip $(BENCHBENCH_DATA)),)
unexport BENCHBENCH_DATA
endif

.PHONY: env run test test-all test-systems test-wheel lint bench clean

env: $(VENV)/.stamp

$(VENV)/.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt 'torch==2.13.0'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	touch $@

run: env
	$(BIN)/bench run --suite fewshot

test: env
	$(BIN)/python -m pytest -n 2 -m 'not slow and not gpu and not network' --benchmark-skip

test-all: env
	$(BIN)/python -m pytest -n 2 -m 'not network' --benchmark-skip

# each wrapped system once for real, in its own environment; ENVIRONMENT=tpot for what runs in that one
test-systems: env
	$(BIN)/python -m pytest tests/methods/test_automl_systems.py tests/methods/test_fewshot_systems.py \
		--durations=0 $(if $(ENVIRONMENT),-k $(ENVIRONMENT))

# the wheel in empty environments; downloads packages
test-wheel: env
	$(BIN)/python -m pytest tests/core/test_wheel.py --durations=0

# BENCH=tests/benchmarks/test_automl_speed.py for one file of them
BENCH ?= tests/benchmarks
bench: env
	$(BIN)/python -m pytest $(BENCH) -m 'not network' --benchmark-only

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tests/typecheck.py

clean:
	rm -rf $(VENV) .benchbench build dist *.egg-info .lint
