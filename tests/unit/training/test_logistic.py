"""Logistic regression on principal axes against scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from tlcore.training.features.logistic import WIDEST, LogisticPath, principal_axes

EXPONENTS = range(-6, 6)


def standard(number: int, width: int, num_classes: int, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Correlated features of mean 0, and labels that they tell in part."""
    rng = np.random.default_rng(number + width)
    labels = np.arange(number) % num_classes
    mixing = rng.normal(0, 1, (width, width)) * np.logspace(0, -3, width)[:, None]
    x = (rng.normal(0, spread, (number, width)) + rng.normal(0, 1, (num_classes, width))[labels]) @ mixing
    return (x - x.mean(0)) / x.std(0), labels


def objective(weight: np.ndarray, bias: np.ndarray, x: np.ndarray, labels: np.ndarray, c: float) -> float:
    """scikit-learn's, divided by C and the number of images. weight: [1, D] for two classes, else [K, D]."""
    scores = x @ weight.T + bias
    if scores.shape[1] == 1:
        scores = np.concatenate([-scores / 2, scores / 2], 1)
    log_p = torch.log_softmax(torch.from_numpy(scores), 1).numpy()
    return float(-log_p[np.arange(len(x)), labels].mean() + (weight**2).sum() / (2 * c * len(x)))


def one_vector(weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two classes as scikit-learn has them."""
    return (weight[1:] - weight[:1], bias[1:] - bias[:1]) if len(weight) == 2 else (weight, bias)


@pytest.mark.parametrize(("number", "width"), [(240, 30), (40, 96), (500, WIDEST + 40)])
@pytest.mark.parametrize("num_classes", [2, 5])
@pytest.mark.parametrize("fast", [torch.float32, torch.bfloat16])
def test_every_c_has_the_optimum_that_scikit_learn_approaches(number, width, num_classes, fast):
    x, labels = standard(number, width, num_classes)
    path = LogisticPath(torch.from_numpy(x).float(), torch.from_numpy(labels), num_classes, 1_000, fast)
    for exponent in EXPONENTS:
        c = 10.0**exponent
        exact = LogisticRegression(C=c, tol=1e-10, max_iter=100_000).fit(x, labels)
        usual = LogisticRegression(C=c, max_iter=1_000).fit(x, labels)
        best, expected = (objective(m.coef_, m.intercept_, x, labels, c) for m in (exact, usual))
        found = path.fit(c)
        reached = objective(*one_vector(found.weight, found.bias), x, labels, c)
        assert found.converged
        assert reached - best < 1e-6 + (1e-4 if exponent <= 0 else 1e-2) * best, f"C = {c:g}"
        assert reached - best < 1e-6 + max(expected - best, 2e-5 * best), f"C = {c:g}"
        if exponent <= 0:  # beyond, the loss is so flat that weights differ at the same loss
            expected_p = exact.predict_proba(x)
            p = torch.from_numpy(x @ found.weight.T + found.bias).softmax(1).numpy()
            np.testing.assert_allclose(p, expected_p, atol=5e-3)


@pytest.mark.parametrize(("number", "width", "num_classes"), [(500, WIDEST + 40, 8), (500, 200, 2), (40, 96, 3)])
def test_gradients_are_divided_by_the_mean_block_of_the_widest_axes(number, width, num_classes):
    """Against autograd's Hessian of each class by itself."""
    x, labels = standard(number, width, num_classes)
    x = torch.from_numpy(x * np.linspace(0.1, 3, width)).float()
    path, penalty = LogisticPath(x, torch.from_numpy(labels), num_classes, 1_000), 0.01
    rotated, _, variance = principal_axes(x)
    rows = torch.cat([rotated, torch.ones(number, 1)], 1).double()
    values = 0.1 * torch.randn(num_classes, rows.shape[1], generator=torch.Generator().manual_seed(0)).double()
    inverse = path._inverse_block(path._look(values, penalty), penalty)
    assert min(4, len(variance)) < len(inverse) <= WIDEST + 1

    def loss(own, k):
        return (
            -(rows @ torch.cat([values[:k], own[None], values[k + 1 :]]).T)
            .log_softmax(1)[torch.arange(number), torch.from_numpy(labels)]
            .mean()
        )

    hessians = [torch.func.hessian(loss)(values[k], k) for k in range(num_classes)]
    block = torch.stack(hessians).mean(0)[-len(inverse) :, -len(inverse) :]
    block.diagonal()[:-1] += penalty
    torch.testing.assert_close(inverse.double() @ block, torch.eye(len(block)).double(), atol=1e-3, rtol=0)


def test_the_order_of_c_does_not_matter():
    x, labels = standard(240, 30, 5)
    features, truth = torch.from_numpy(x).float(), torch.from_numpy(labels)
    upwards, downwards = (LogisticPath(features, truth, 5, 1_000) for _ in range(2))
    rising = [upwards.fit(c) for c in (0.01, 0.1, 1.0)]
    falling = [downwards.fit(c) for c in (1.0, 0.1, 0.01)]
    for c, one, other in zip((0.01, 0.1, 1.0), rising, reversed(falling), strict=True):
        reached = [objective(found.weight, found.bias, x, labels, c) for found in (one, other)]
        assert reached[0] == pytest.approx(reached[1], rel=1e-4)


def test_too_few_iterations_are_told():
    x, labels = standard(240, 30, 5)
    assert not LogisticPath(torch.from_numpy(x).float(), torch.from_numpy(labels), 5, 2).fit(1.0).converged


@pytest.mark.parametrize(("number", "width"), [(50, 20), (20, 50)])
def test_principal_axes_lose_nothing_and_keep_lengths(number, width):
    x = torch.from_numpy(standard(number, width, 2)[0])
    rotated, axes, variance = principal_axes(x)
    assert rotated.shape == (number, min(number, width))
    torch.testing.assert_close(rotated @ axes.T, x)
    torch.testing.assert_close(axes.T @ axes, torch.eye(min(number, width), dtype=x.dtype))
    torch.testing.assert_close(rotated.var(0, correction=0), variance, atol=1e-9, rtol=1e-6)
    assert (variance.diff() >= 0).all()
    total = np.linalg.svd(x.numpy(), compute_uv=False) ** 2 / number
    np.testing.assert_allclose(np.sort(variance.numpy())[::-1], total, atol=1e-9)


def test_contradictory_images_have_their_optimum_and_no_complaint():
    """Each picture is there with both labels: the loss is ln 2 at best, and float32 sees no way down."""
    x = torch.randn(3, 20, generator=torch.Generator().manual_seed(0)).repeat(100, 1)
    path = LogisticPath(x - x.mean(0), torch.arange(300) // 3 % 2, 2, 1_000)
    for exponent in EXPONENTS:
        found = path.fit(10.0**exponent)
        assert found.converged
        assert np.abs(found.weight).max() < 1e-2
