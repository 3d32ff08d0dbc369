"""The learning-rate finder's arithmetic against fastai's own code, and on a loss whose best rate is known."""

import math

import numpy as np
import pytest

from tlcore.training.lr_curve import diverged, growing_rates, is_noise, smoothed, steepest, valley

PLANNED = 100


def fastai_valley(lrs, losses):
    """fastai 2.8, `fastai/callback/schedule.py`, as it is, without its plotting."""
    n = len(losses)
    max_start, max_end = 0, 0
    lds = [1] * n
    for i in range(1, n):
        for j in range(0, i):
            if (losses[i] < losses[j]) and (lds[i] < lds[j] + 1):
                lds[i] = lds[j] + 1
            if lds[max_end] < lds[i]:
                max_end = i
                max_start = max_end - lds[max_end]
    sections = (max_end - max_start) / 3
    return lrs[max_start + int(sections) + int(sections / 2)]


def fastai_steep(lrs, losses):
    grads = (losses[1:] - losses[:-1]) / (np.log(lrs[1:]) - np.log(lrs[:-1]))
    return lrs[:-1][grads.argmin()]


def fastai_smooth(losses, beta=0.98):
    """`AvgSmoothLoss`: a running mean with `lerp`, divided by 1 - beta^count."""
    value, found = 0.0, []
    for count, loss in enumerate(losses, 1):
        value = loss + (value - loss) * beta
        found.append(value / (1 - beta**count))
    return found


def typical(seed):
    """Flat, then falling, then rising, with noise."""
    rng = np.random.default_rng(seed)
    x = np.linspace(-7, 1, PLANNED)
    shape = 2.3 - 1.4 / (1 + np.exp(-2.5 * (x + 3))) + 5 * np.exp(3 * (x - 0.5))
    return list(10**x), list(shape + rng.normal(0, 0.03, PLANNED))


def test_rates_grow_by_the_same_factor():
    np.testing.assert_allclose(growing_rates(1e-7, 10, 100), np.geomspace(1e-7, 10, 100))


def test_smoothing_is_fastais_and_starts_without_bias():
    losses = np.random.default_rng(0).normal(2, 0.5, 60)
    np.testing.assert_allclose(smoothed(losses), fastai_smooth(losses))
    assert smoothed([3.0]) == pytest.approx([3.0])


@pytest.mark.parametrize("seed", range(8))
def test_suggestions_are_fastais(seed):
    rates, losses = typical(seed)
    curve = smoothed(losses)
    kept = slice(PLANNED // 10, -5)
    x, y = np.array(rates[kept]), np.array(curve[kept])
    assert valley(rates, curve, PLANNED) == fastai_valley(x, y)
    assert steepest(rates, curve, PLANNED) == pytest.approx(fastai_steep(x, y))


def test_on_a_quadratic_the_suggestion_learns_and_the_divergence_is_seen():
    """Gradient descent on w²/2 · c diverges from rate 2/c on; the finder stays below, and far above no progress."""
    curvature, w = 4.0, 5.0
    rates, losses = growing_rates(1e-4, 10, PLANNED), []
    for rate in rates:
        losses.append(curvature * w * w / 2)
        w -= rate * curvature * w
        if diverged(smoothed(losses)):
            break
    assert len(losses) < PLANNED
    assert rates[len(losses) - 1] > 2 / curvature
    for rule in (steepest, valley):
        found = rule(rates[: len(losses)], smoothed(losses), PLANNED)
        assert 1e-3 < found < 2 / curvature


def test_the_steepest_fall_is_not_one_of_the_divergence():
    """It falls gently until 1e-3, and diverges with a steep fall on the way."""
    rates = growing_rates(1e-5, 10, 60)
    curve = [2.0 - 0.01 * i for i in range(30)] + [1.7 + 0.2 * i for i in range(30)]
    curve[45] = curve[44] - 1.0
    assert steepest(rates, curve, 60) < rates[30]
    rises = [1.0 + 0.1 * i for i in range(60)]
    rises[40] = rises[39] - 0.5
    assert steepest(rates, rises, 60) is None, "nowhere does it fall below its start"


@pytest.mark.parametrize("rule", [steepest, valley])
def test_a_loss_that_never_falls_gives_no_suggestion(rule):
    rates = growing_rates(1e-4, 1, 50)
    assert rule(rates, [1.0 + i for i in range(50)], 50) is None
    assert rule(rates[:12], [1.0 - i for i in range(12)], 100) is None, "too few points"
    assert rule([], [], 100) is None


@pytest.mark.parametrize(
    ("curve", "ends"),
    [([1.0, 0.5, 1.9], False), ([1.0, 0.5, 2.1], True), ([1.0, math.nan], True), ([1e-6, 1e-5], False)],
)
def test_it_ends_above_four_times_the_smallest_loss(curve, ends):
    assert diverged(curve) is ends


def test_a_curve_that_falls_is_told_from_noise():
    """Of curves of nothing but noise, few are taken for a fall; of clear falls, all."""
    noise = [np.random.default_rng(seed).normal(0.7, 0.15, PLANNED).tolist() for seed in range(60)]
    assert sum(is_noise(losses, PLANNED) for losses in noise) >= 52
    assert not any(is_noise(typical(seed)[1], PLANNED) for seed in range(30))
    assert not is_noise(np.linspace(2, 1, PLANNED).tolist(), PLANNED)
    assert is_noise([0.7] * PLANNED, PLANNED)
    assert is_noise([0.7, 0.2], PLANNED)
