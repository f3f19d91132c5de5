"""The regressions behind surrogates of tables, with the interface of scikit-learn's.

Both predict several targets at once. Trees need many measurements to learn a slope, and are robust; a Gaussian process
learns smooth effects from fewer.

Source: Geurts, Ernst and Wehenkel, "Extremely randomized trees", Machine Learning 63 (2006); Rasmussen and Williams,
"Gaussian Processes for Machine Learning", 2006, Sec. 5.1 (a scale for each feature).
"""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.model_selection import GroupKFold, cross_val_predict

__all__ = ["REGRESSORS", "Process", "Trees", "left_out"]

Floats = npt.NDArray[np.float64]

_FOLDS = 5
_ROWS = 600  # from which the scales of a Gaussian process are learned, since that takes the cube of their number


class Trees(RegressorMixin, BaseEstimator):
    """Extremely randomized trees, whose leaves hold at least two rows: the luck of one row is not repeated."""

    def fit(self, x: Floats, y: Floats) -> "Trees":
        """Learns from features [n, p] and targets [n, t]."""
        targets = y if y.shape[1] > 1 else y[:, 0]  # as scikit-learn wants a single one
        fitted = ExtraTreesRegressor(n_estimators=100, min_samples_leaf=2, random_state=0).fit(x, targets)
        self.trees_ = [tree.tree_ for tree in fitted.estimators_]  # their own checks take longer than the trees
        return self

    def predict(self, x: Floats) -> Floats:
        """Predicts the targets of rows of features, [m, p] -> [m, t]."""
        rows = x.astype(np.float32)
        return np.asarray(np.mean([tree.predict(rows).reshape(len(x), -1) for tree in self.trees_], axis=0))


class Process(RegressorMixin, BaseEstimator):
    """A Gaussian process with a scale for each feature, which is learned from the mean of its targets."""

    def fit(self, x: Floats, y: Floats) -> "Process":
        """Learns from features [n, p] and targets [n, t]."""
        some = np.random.default_rng(0).permutation(len(x))[:_ROWS]
        kernel = ConstantKernel() * Matern(np.ones(x.shape[1]), (0.05, 100), nu=2.5) + WhiteKernel(0.1)
        with warnings.catch_warnings():  # the scale of a feature that tells nothing ends at its bound
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = GaussianProcessRegressor(kernel, normalize_y=True).fit(x[some], y[some].mean(axis=1))
        self.model_ = GaussianProcessRegressor(model.kernel_, optimizer=None, normalize_y=True).fit(x, y)
        return self

    def predict(self, x: Floats) -> Floats:
        """Predicts the targets of rows of features, [m, p] -> [m, t]."""
        return np.asarray(self.model_.predict(x)).reshape(len(x), -1)


REGRESSORS: dict[str, type[Trees] | type[Process]] = {"trees": Trees, "process": Process}


def left_out(regressor: BaseEstimator, x: Floats, y: Floats, groups: npt.NDArray[Any]) -> Floats:
    """Predictions [n, t] of groups of rows that were left out, each in one of five folds."""
    folds = GroupKFold(min(_FOLDS, len(np.unique(groups))))
    return np.asarray(cross_val_predict(regressor, x, y, groups=groups, cv=folds))
