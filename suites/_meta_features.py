"""Meta-features: a few numbers that describe a table and are known before anything is tuned.

Simple and statistical ones and landmarks, of those in Feurer, Springenberg & Hutter 2015,
"Initializing Bayesian hyperparameter optimization via meta-learning" (table 1); landmarks:
Pfahringer, Bensusan & Giraud-Carrier 2000. Importing this is light.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["meta_features"]

# landmarks are made on at most this many rows
N_ROWS = 1000
N_FOLDS = 3
SEED = 0


def meta_features(x: NDArray[np.float64], y: NDArray[Any], *, is_regression: bool) -> dict[str, float]:
    """Describe a table by its training rows.

    Parameters
    ----------
    x : (n_rows, n_columns) array
        Without missing values.
    y : (n_rows,) array
        Classes, or numbers if `is_regression`.

    Returns
    -------
    dict
        All finite. Landmarks are the cross-validated loss of a simple model over that of a
        constant, so 1 says that the model learns nothing; what only classification has is 0 for
        regression.
    """
    import numpy as np

    n_rows, n_columns = x.shape
    found = {
        "log_rows": math.log(n_rows),
        "log_columns": math.log(n_columns),
        "log_columns_per_row": math.log(n_columns / n_rows),
        "n_classes": 0.0,
        "class_entropy": 0.0,
        "majority_share": 0.0,
    }
    if not is_regression:
        shares = np.unique(y, return_counts=True)[1] / n_rows
        found["n_classes"] = float(len(shares))
        found["class_entropy"] = float(-(shares * np.log2(shares)).sum())
        found["majority_share"] = float(shares.max())
    return found | _statistics(x) | _landmarks(x, y, is_regression)


def _statistics(x: NDArray[np.float64]) -> dict[str, float]:
    """Return moments of the columns, and how much they have in common."""
    import numpy as np
    from scipy.stats import kurtosis, skew

    varying = x[:, x.std(0) > 0]
    if not varying.shape[1]:
        return {"mean_skewness": 0.0, "mean_kurtosis": 0.0, "mean_correlation": 0.0, "first_component": 1.0}
    correlations = np.atleast_2d(np.corrcoef(varying, rowvar=False))
    n = len(correlations)
    shared = (np.abs(correlations).sum() - n) / (n * (n - 1)) if n > 1 else 0.0
    return {
        # of long tails, whichever side, only the size counts; on a log scale, since some columns
        # have huge ones
        "mean_skewness": float(np.log1p(np.abs(skew(varying))).mean()),
        "mean_kurtosis": float(np.log1p(np.abs(kurtosis(varying))).mean()),
        "mean_correlation": float(shared),
        "first_component": float(np.linalg.eigvalsh(correlations)[-1] / n),
    }


def _landmarks(x: NDArray[np.float64], y: NDArray[Any], is_regression: bool) -> dict[str, float]:
    """Return the losses of nearest neighbour, stump and linear model over that of a constant."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    rows = np.random.Generator(np.random.PCG64(SEED)).permutation(len(x))[:N_ROWS]
    x, y = x[rows], y[rows]
    models: dict[str, Any] = (
        {
            "nearest_neighbour": KNeighborsRegressor(1),
            "stump": DecisionTreeRegressor(max_depth=1, random_state=SEED),
            "linear": Ridge(),
        }
        if is_regression
        else {
            "nearest_neighbour": KNeighborsClassifier(1),
            "stump": DecisionTreeClassifier(max_depth=1, random_state=SEED),
            "linear": LogisticRegression(max_iter=100),
        }
    )
    folds = (KFold if is_regression else StratifiedKFold)(N_FOLDS, shuffle=True, random_state=SEED)
    constant = 1.0 if is_regression else 1 - np.unique(y, return_counts=True)[1].max() / len(y)
    found = {}
    with warnings.catch_warnings():
        # that a linear model has not converged, or a class is rare, is told by its loss
        warnings.simplefilter("ignore")
        for name, model in models.items():
            scores = cross_val_score(make_pipeline(StandardScaler(), model), x, y, cv=folds)
            # accuracy, or R2, which is 1 - loss / variance
            found[f"{name}_loss"] = float(min(2.0, (1 - scores.mean()) / constant)) if constant else 0.0
    return found
