"""Multinomial logistic regression with an L2 penalty, for many C on the same features.

L-BFGS (Liu & Nocedal 1989) on coordinates in which the loss is about equally curved in every direction: features are
turned into their principal axes, and each weight there is counted in units of 1 / sqrt(q · variance + penalty), with q
the mean of p (1 - p). A fit begins where the line through two neighbouring C leads, which is close, as for separable
classes weights grow with log C. The optimum is that of the features as they were: turning leaves the penalty alone.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import OptimizeResult, minimize
from torch import Tensor
from torch.nn.functional import one_hot

Array = npt.NDArray[np.float64]
# Half of the gradient's square in these coordinates, per loss or per what it has gained since all classes were equally
# likely, whichever is less. Predictions are then those of the optimum but for some 1 in 1,000.
EXCESS = 1e-6
STALLED = 1e-9  # a step that lowers the loss by less ends the fit: float32 tells no more
FLATTEST = 1e-8  # least q: where all images are fitted, the loss is flat and the penalty shapes it


@dataclass(frozen=True)
class Solution:
    """weight: [K, D], or [1, D] for two classes of one score. bias: [K] or [1]. converged: within the iterations."""

    weight: Array
    bias: Array
    converged: bool


@dataclass(frozen=True)
class _Point:
    """Weights on the principal axes [K, R] and biases [K, 1], side by side, float64 on the CPU."""

    values: Tensor
    converged: bool


class LogisticPath:
    """The minimisers of C · (sum of log losses) + |W|² / 2, as scikit-learn's LogisticRegression has them.

    Two classes share one weight vector w there; here they have -w/2 and w/2, and the penalty is doubled to match.
    """

    def __init__(self, features: Tensor, labels: Tensor, num_classes: int, max_iterations: int) -> None:
        """features: [N, D] float32, of mean 0. labels: [N] int64. Fits take place where the features are."""
        self._max_iterations = max_iterations
        self._rotated, axes, variance = principal_axes(features)
        self._axes, self._variance = axes.double().cpu(), variance.double().cpu()
        self._truth = one_hot(labels.to(features.device), num_classes).to(features.dtype)
        self._points: dict[float, _Point] = {}

    def fit(self, c: float) -> Solution:
        """The minimiser for one C: weight [K, D] and bias [K]."""
        if c not in self._points:
            self._points[c] = self._minimise(c)
        point = self._points[c]
        weight = point.values[:, :-1] @ self._axes.T
        return Solution(weight.numpy(), point.values[:, -1].numpy(), point.converged)

    def _minimise(self, c: float) -> _Point:
        number, num_classes = self._truth.shape
        penalty = (2 if num_classes == 2 else 1) / (c * number)
        starts = self._starts(c)
        start = min(starts, key=lambda values: self._loss(values, penalty)[0])
        p = self._log_probabilities(starts[0]).exp_()
        curvature = max(float((p * (1 - p)).mean()), FLATTEST) * torch.cat([self._variance, torch.ones(1)])
        curvature[:-1] += penalty
        unit = curvature.rsqrt()
        slope = torch.zeros(0)
        enough = False

        def scaled_loss(flat: Array) -> tuple[float, Array]:
            nonlocal slope
            loss, slope = self._loss(torch.from_numpy(flat).view(num_classes, -1) * unit, penalty)
            slope *= unit
            return loss, slope.view(-1).numpy()

        def stop(intermediate_result: OptimizeResult) -> None:
            nonlocal enough
            loss = intermediate_result.fun
            enough = float(slope.square().sum()) / 2 <= EXCESS * min(loss, math.log(num_classes) - loss)
            if enough:
                raise StopIteration

        options = {"maxiter": self._max_iterations, "gtol": 0.0, "ftol": STALLED, "maxls": 50}
        begin = (start / unit).view(-1).numpy()
        found = minimize(scaled_loss, begin, jac=True, method="L-BFGS-B", callback=stop, options=options)
        values = torch.from_numpy(found.x).view(num_classes, -1) * unit
        return _Point(values, enough or found.nit < self._max_iterations)

    def _starts(self, c: float) -> list[Tensor]:
        """Where a fit may begin: at the nearest smaller C, or where log C leads on the line through two neighbours."""
        below, above = (sorted(k for k in self._points if (k < c) == smaller) for smaller in (True, False))
        if not below:
            return [torch.zeros(self._truth.shape[1], len(self._variance) + 1, dtype=torch.float64)]
        nearest = self._points[below[-1]].values
        pair = (below[-1], above[0]) if above else tuple(below[-2:])
        if len(pair) < 2:
            return [nearest]
        first, last = (self._points[k].values for k in pair)
        return [nearest, first + (last - first) * (math.log(c / pair[0]) / math.log(pair[1] / pair[0]))]

    def _loss(self, values: Tensor, penalty: float) -> tuple[float, Tensor]:
        """Mean log loss with the penalty, and its gradient. values: as of `_Point`."""
        number = len(self._truth)
        log_p = self._log_probabilities(values)
        loss = -(log_p * self._truth).sum(dtype=torch.float64) / number
        residual = log_p.exp_().sub_(self._truth)
        slope = torch.cat([residual.T @ self._rotated, residual.sum(0)[:, None]], 1).double().cpu() / number
        slope[:, :-1] += penalty * values[:, :-1]
        return float(loss) + penalty / 2 * float(values[:, :-1].square().sum()), slope

    def _log_probabilities(self, values: Tensor) -> Tensor:
        """[N, K]. values: as of `_Point`."""
        moved = values.to(self._rotated)
        return torch.addmm(moved[:, -1], self._rotated, moved[:, :-1].T).log_softmax(1)


def principal_axes(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The features on their principal axes [N, R], the axes as columns [D, R], and the variance along each [R].

    features: [N, D] of mean 0. R: the smaller of N and D, so that nothing is lost: features = rotated @ axes.T.
    """
    if len(features) < features.shape[1]:
        basis, inner = torch.linalg.qr(features.T)
        rotated, axes, variance = principal_axes(inner.T)
        return rotated, basis @ axes, variance
    variance, axes = torch.linalg.eigh(features.T @ features / len(features))
    return features @ axes, axes, variance.clamp_min(0)
