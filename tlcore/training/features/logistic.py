"""Multinomial logistic regression with an L2 penalty, for many C on the same features.

Newton's method, its steps found by conjugate gradients as exactly as they are worth (Dembo & Steihaug 1983; Lin, Weng &
Keerthi 2008). Losses and gradients are those of float32; products with the Hessian are in the number format in which
the device is fastest, as they only tell where to go. Features are turned into their principal axes, in which the
Hessian is nearly diagonal while all images weigh alike: q · variance + penalty, with q the mean of p (1 - p). Gradients
are divided by that, except along the widest axes: the larger C, the fewer images weigh anything, so that axes no longer
go apart, and gradients are divided by the block of the Hessian there, averaged over classes. A fit begins where the
line through two neighbouring C leads, which is close, as for separable classes weights grow with log C. The optimum is
that of the features as they were: turning leaves the penalty alone.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import one_hot

Array = npt.NDArray[np.float64]
# Half of the gradient's square, each part divided by its curvature as far as the axes tell it: about what the loss is
# above its optimum, but for single images whose features are hundreds of times as large as all others. Per loss or per
# what it has gained since all classes were equally likely, whichever is less. Predictions are then those of the optimum
# but for some 1 in 1,000.
EXCESS = 1e-6
STALLED = 1e-9  # a step that lowers the loss by less ends the fit: float32 tells no more
FLATTEST = 1e-8  # least q: where all images are fitted, the loss is flat and the penalty shapes it
FORCING = 0.1  # a step leaves this part of the gradient, or half of what ends the fit, whichever is more
MAX_PRODUCTS = 200  # with the Hessian, in one step
SUFFICIENT = 1e-4  # of the decrease that the gradient promises: Armijo's rule (Nocedal & Wright 2006, section 3.1)
SHORTEST = 2.0**-20  # part of a step below which there is no way down
WIDEST = 256  # axes whose block of the Hessian is made, at most: more would save a few more products, and cost as much
WORTH = 4  # products that making the block may cost, in operations: for few classes, fewer axes


@dataclass(frozen=True)
class Solution:
    """weight: [K, D], or [1, D] for two classes of one score. bias: [K] or [1]. converged: within the iterations."""

    weight: Array
    bias: Array
    converged: bool


@dataclass(frozen=True)
class _Point:
    """Weights on the principal axes [K, R] and biases [K, 1], side by side, float64 on the CPU.

    converged: the gradient is small enough, or float32 tells of no way down.
    """

    values: Tensor
    converged: bool


@dataclass(frozen=True)
class _View:
    """How it looks from some weights: mean log loss with the penalty, its gradient [K, R + 1] (float64 on the CPU), and
    the probabilities of all images [K, N].
    """

    values: Tensor
    loss: float
    slope: Tensor
    probabilities: Tensor


class LogisticPath:
    """The minimisers of C · (sum of log losses) + |W|² / 2, as scikit-learn's LogisticRegression has them.

    Two classes share one weight vector w there; here they have -w/2 and w/2, and the penalty is doubled to match.
    Classes lie along the first dimension of what belongs to images: such products are up to twice as fast.
    """

    def __init__(
        self, features: Tensor, labels: Tensor, num_classes: int, max_iterations: int, fast: torch.dtype = torch.float32
    ) -> None:
        """features: [N, D] float32, of mean 0. labels: [N] int64. max_iterations: Newton steps. fast: the number format
        in which products are fastest. Fits take place where the features are.
        """
        self._max_iterations = max_iterations
        self._rotated, axes, variance = principal_axes(features)
        self._fast = self._rotated.to(fast)
        widest = min(WIDEST, math.isqrt(2 * WORTH * num_classes * len(variance)))
        self._widest = torch.cat([self._rotated[:, -widest:], torch.ones_like(self._rotated[:, :1])], 1)
        self._axes, self._variance = axes.double().cpu(), variance.double().cpu()
        self._truth = one_hot(labels.to(features.device), num_classes).to(features.dtype).T.contiguous()
        self._points: dict[float, _Point] = {}

    def fit(self, c: float) -> Solution:
        """The minimiser for one C: weight [K, D] and bias [K]."""
        if c not in self._points:
            self._points[c] = self._minimise(c)
        point = self._points[c]
        weight = point.values[:, :-1] @ self._axes.T
        return Solution(weight.numpy(), point.values[:, -1].numpy(), point.converged)

    def _minimise(self, c: float) -> _Point:
        num_classes, number = self._truth.shape
        penalty = (2 if num_classes == 2 else 1) / (c * number)
        here = min((self._look(values, penalty) for values in self._starts(c)), key=lambda view: view.loss)
        for _ in range(self._max_iterations):
            curvature = self._curvature(here, penalty)
            excess = float((here.slope.square() / curvature).sum()) / 2
            enough = EXCESS * min(here.loss, math.log(num_classes) - here.loss)
            if excess <= enough:
                return _Point(here.values, converged=True)
            step = self._step(here, curvature, penalty, leave=max(FORCING**2 * excess, enough / 2))
            promised = -float((here.slope * step).sum())
            if promised <= STALLED:
                return _Point(here.values, converged=True)
            there = self._descend(here, step, promised, penalty)
            if there is None:
                break
            if here.loss - there.loss <= STALLED:
                return _Point(there.values, converged=True)
            here = there
        return _Point(here.values, converged=False)

    def _curvature(self, here: _View, penalty: float) -> Tensor:
        """Along each axis, and of the bias [R + 1], float64 on the CPU: alike for all classes."""
        p = here.probabilities
        found = max(float((p * (1 - p)).mean()), FLATTEST) * torch.cat([self._variance, torch.ones(1)])
        found[:-1] += penalty
        return found

    def _step(self, here: _View, curvature: Tensor, penalty: float, leave: float) -> Tensor:
        """A Newton step [K, R + 1] by conjugate gradients. leave: what may be left of the excess."""
        p, number, inverse = here.probabilities, here.probabilities.shape[1], (1 / curvature).to(self._rotated)
        block = self._inverse_block(here, penalty)

        def divided(rest: Tensor) -> Tensor:
            found = inverse * rest
            found[:, -len(block) :] = rest[:, -len(block) :] @ block
            return found

        penalties = torch.full_like(inverse, penalty)
        penalties[-1] = 0
        rest = -here.slope.to(self._rotated)
        step, direction = torch.zeros_like(rest), divided(rest)
        along = float((rest * direction).sum())
        for _ in range(MAX_PRODUCTS):
            scores = (direction[:, :-1].to(self._fast) @ self._fast.T).float().add_(direction[:, -1:])
            change = scores.sub_((p * scores).sum(0)).mul_(p).div_(number)
            product = penalties * direction
            product[:, :-1] += change.to(self._fast) @ self._fast
            product[:, -1] += change.sum(1)
            bend = float((direction * product).sum())
            if bend <= 0:  # rounding: there is no more to see
                break
            step.add_(direction, alpha=along / bend)
            rest.sub_(product, alpha=along / bend)
            if float((rest.square() * inverse).sum()) / 2 <= leave:
                break
            following = divided(rest)
            before, along = along, float((rest * following).sum())
            direction.mul_(along / before).add_(following)
        return step.double().cpu()

    def _inverse_block(self, here: _View, penalty: float) -> Tensor:
        """The inverse [W + 1, W + 1] of the Hessian's block of the widest axes and the bias, averaged over classes."""
        p = here.probabilities
        block = (self._widest.T * (p * (1 - p)).mean(0)) @ self._widest / p.shape[1]
        block.diagonal().add_(torch.finfo(block.dtype).eps * block.trace())  # or rounding could make it indefinite
        block.diagonal()[:-1].add_(penalty)
        block[-1, -1] += FLATTEST
        return torch.cholesky_inverse(torch.linalg.cholesky(block))

    def _descend(self, here: _View, step: Tensor, promised: float, penalty: float) -> _View | None:
        """Along a step as far as the loss falls enough, or is promised to change by no more than float32 tells.

        promised: by how much the gradient says that the whole step lowers the loss. None where there is no way down.
        """
        part = 1.0
        while part >= SHORTEST:
            if part * promised <= STALLED:
                return here
            there = self._look(here.values + part * step, penalty)
            if there.loss <= here.loss - SUFFICIENT * part * promised:
                return there
            part /= 2
        return None

    def _starts(self, c: float) -> list[Tensor]:
        """Where a fit may begin: at the nearest smaller C, or where log C leads on the line through two neighbours."""
        below, above = (sorted(k for k in self._points if (k < c) == smaller) for smaller in (True, False))
        if not below:
            return [torch.zeros(len(self._truth), len(self._variance) + 1, dtype=torch.float64)]
        nearest = self._points[below[-1]].values
        pair = (below[-1], above[0]) if above else tuple(below[-2:])
        if len(pair) < 2:
            return [nearest]
        first, last = (self._points[k].values for k in pair)
        return [nearest, first + (last - first) * (math.log(c / pair[0]) / math.log(pair[1] / pair[0]))]

    def _look(self, values: Tensor, penalty: float) -> _View:
        """values: as of `_Point`."""
        number = self._truth.shape[1]
        moved = values.to(self._rotated)
        log_p = (moved[:, :-1] @ self._rotated.T).add_(moved[:, -1:]).log_softmax(0)
        loss = -(log_p * self._truth).sum(dtype=torch.float64) / number
        p = log_p.exp_()
        residual = p - self._truth
        slope = torch.cat([residual @ self._rotated, residual.sum(1, keepdim=True)], 1).double().cpu() / number
        slope[:, :-1] += penalty * values[:, :-1]
        return _View(values, float(loss) + penalty / 2 * float(values[:, :-1].square().sum()), slope, p)


def principal_axes(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The features on their principal axes [N, R], the axes as columns [D, R], and the variance along each [R], rising.

    features: [N, D] of mean 0. R: the smaller of N and D, so that nothing is lost: features = rotated @ axes.T.
    """
    if len(features) < features.shape[1]:
        basis, inner = torch.linalg.qr(features.T)
        rotated, axes, variance = principal_axes(inner.T)
        return rotated, basis @ axes, variance
    variance, axes = torch.linalg.eigh(features.T @ features / len(features))
    return features @ axes, axes, variance.clamp_min(0)
