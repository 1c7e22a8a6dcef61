#!/bin/sh
# Optuna 5.0.0: CmaEsSampler(with_margin=True) has no margin for integers on a logarithmic scale: a
# search that has closed in on one value never suggests its neighbours. Linear integers keep moving.
# Seen: last 100 suggestions: log [2], linear [39, 40, 41].
# Exit 0: as described. Exit 1: the behaviour has changed.
set -eu
UV=${UV:-uv}
FOLDER=$(mktemp -d); trap 'rm -rf "$FOLDER"' EXIT
"$UV" venv -q --python 3.11 "$FOLDER/env"
"$UV" pip install -q --python "$FOLDER/env/bin/python" optuna==5.0.0 cmaes==0.13.1 numpy==2.4.6 scipy==1.17.1
"$FOLDER/env/bin/python" -W ignore - <<'PY'
import math, sys
import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)

def last(log):
    study = optuna.create_study(sampler=optuna.samplers.CmaEsSampler(seed=1, with_margin=True, warn_independent_sampling=False))
    def loss(trial):
        k = trial.suggest_int("k", 1, 64, log=log)
        far = abs(math.log(k / 2)) if log else abs(k - 40) / 40
        return far + (trial.suggest_float("x", 0, 1) - 0.4) ** 2 + (trial.suggest_float("y", 0, 1) - 0.6) ** 2
    study.optimize(loss, n_trials=300)
    return {trial.params["k"] for trial in study.trials[-100:]}

on_log, on_linear = last(True), last(False)
print(f"last 100 suggestions: log {sorted(on_log)}, linear {sorted(on_linear)}")
sys.exit(not (len(on_log) == 1 and len(on_linear) > 1))
PY
