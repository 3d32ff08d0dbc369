"""Where a run stands: borders, evaluations, and whether anything was learned."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from tlcore.recipes import FitRecipe, TrainRecipe
from tlcore.results import EvaluationPoint, PartMetrics
from tlcore.training.loop.checkpoints import fresh_state
from tlcore.training.loop.guessing import Guess, guesses_of, lucky_accuracy
from tlcore.training.loop.plan import Plan
from tlcore.training.loop.position import (
    LEARNED,
    SAVE_SECONDS,
    did_not_learn,
    evaluation_due,
    phase_over,
    phase_progress,
    rank,
    save_due,
    spent,
    stale_evaluations,
)
from tlcore.training.loop.steps import class_weights

LUCKY = 0.6
STEPS = Plan("steps", (3, 9), 2.25, evaluations=frozenset({2, 3, 4, 7, 9}))
EVEN = (Guess(math.log(2)),)
SECONDS = Plan("seconds", (1.0, 3.0), 2.0, interval=0.5)


def state(**changes):
    made = fresh_state(torch.device("cpu"))
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def point(step, seconds=0.0, loss=0.1):
    return EvaluationPoint(
        step=step, epoch=0, images_seen=0, train_seconds=seconds, timestamp_ms=0, phase=0, train_loss=loss
    )


def test_a_point_is_due_once():
    before = state(step=2, begun=0)
    assert evaluation_due(STEPS, before)
    before.history = (point(2),)
    assert not evaluation_due(STEPS, before)
    assert not evaluation_due(STEPS, state(step=1, begun=0))


def test_evaluations_since_the_best_are_counted_in_the_phase_under_way():
    def ranked(phase, *pairs):
        return tuple(
            EvaluationPoint(**{**point(n).model_dump(), "phase": phase, "val_accuracy": a, "val_loss": loss})
            for n, (a, loss) in enumerate(pairs)
        )

    assert stale_evaluations(state()) == 0
    assert stale_evaluations(state(history=ranked(0, (0.5, 1.0), (0.5, 0.9)))) == 0  # a lower loss is better
    assert stale_evaluations(state(history=ranked(0, (0.5, 1.0), (0.5, 1.0), (0.4, 0.1)))) == 2  # the earlier stays
    both = ranked(0, (0.9, 0.1)) + ranked(1, (0.5, 1.0), (0.4, 1.0))
    assert stale_evaluations(state(phase=1, history=both)) == 1


def test_no_loss_is_worse_than_any():
    assert rank(0.5, None) < rank(0.5, 1e9) < rank(0.5, 0.0) < rank(0.6, None)
    assert stale_evaluations(state(history=(
        EvaluationPoint(**{**point(0).model_dump(), "val_accuracy": 0.5, "val_loss": None}),
        EvaluationPoint(**{**point(1).model_dump(), "val_accuracy": 0.5, "val_loss": 2.0}),
    ))) == 0  # fmt: skip


def test_a_fit_uses_nothing_of_a_budget_of_seconds():
    plan = Plan("seconds", (0.0, 10.0), 2.0, interval=0.2)
    fitted = state(phase=1, begun=0.0, step=4, train_seconds=1005.0, fit_seconds=1000.0)
    assert spent(plan, fitted) == 5.0
    assert phase_progress(plan, fitted) == 0.5
    assert not phase_over(plan, fitted)
    early = (point(0, seconds=1000.0, loss=0.01), point(5, seconds=1005.0, loss=math.log(2)))
    assert did_not_learn(early, plan, EVEN, best=best(None), lucky=LUCKY, fit_seconds=1000.0)
    assert not did_not_learn(early, plan, EVEN, best=best(None), lucky=LUCKY), "without a Fit, all of it is late"


def test_a_checkpoint_is_due_at_the_first_end_of_an_epoch_after_a_while():
    late = SAVE_SECONDS + 5.0
    ends = [step for step in range(1, 10) if save_due(STEPS, state(step=step, train_seconds=late), saved=5.0)]
    assert ends == [3, 5, 7, 9]
    assert not save_due(STEPS, state(step=3, train_seconds=late), saved=6.0)


def test_a_phase_that_begins_where_another_ended_is_neither_over_nor_due():
    begins = state(step=3, begun=3, begun_step=3, phase=1, history=(point(3),))
    assert not phase_over(STEPS, begins)
    assert not evaluation_due(STEPS, begins)
    assert phase_progress(STEPS, begins) == pytest.approx(0.5 / 6)


def test_seconds_end_a_phase_after_at_least_one_step():
    assert not phase_over(SECONDS, state(step=0, begun=0.0, train_seconds=5.0))
    assert phase_over(SECONDS, state(step=1, begun=0.0, train_seconds=1.0))
    late = state(step=4, begun=3.5, begun_step=4, phase=1, train_seconds=3.5)
    assert not phase_over(SECONDS, late)
    assert phase_progress(SECONDS, late) == 1.0


def test_with_seconds_a_point_waits_for_the_end_of_an_epoch_and_the_interval():
    assert not evaluation_due(SECONDS, state(step=2, begun=0.0, train_seconds=0.4))
    assert not evaluation_due(SECONDS, state(step=3, begun=0.0, train_seconds=0.7))
    assert evaluation_due(SECONDS, state(step=4, begun=0.0, train_seconds=0.8))
    assert evaluation_due(SECONDS, state(step=3, begun=0.0, train_seconds=1.1))


def test_a_run_learned_if_its_loss_fell_at_any_time_after_a_tenth():
    plan, chance = Plan("steps", (100,), 10.0), math.log(2)
    stuck = (point(50, loss=chance), point(100, loss=0.99 * chance))
    assert did_not_learn(stuck, plan, EVEN, best=best(chance), lucky=LUCKY)
    assert did_not_learn(stuck, plan, EVEN, best=best(None), lucky=LUCKY)
    assert not did_not_learn(stuck, plan, EVEN, best=best(0.8 * chance), lucky=LUCKY)
    assert not did_not_learn(
        (point(50, loss=0.9 * chance), point(100, loss=chance)), plan, EVEN, best=best(chance), lucky=LUCKY
    )
    assert did_not_learn(
        (point(5, loss=0.5 * chance), point(100, loss=chance)), plan, EVEN, best=best(chance), lucky=LUCKY
    )
    assert not did_not_learn(
        (EvaluationPoint(**{**point(0).model_dump(), "train_loss": None}),), plan, EVEN, best=best(None), lucky=LUCKY
    )


def best(loss, balanced=0.5):
    """Of the best network on the training part."""
    return PartMetrics(num_images=200, accuracy=0.5, balanced_accuracy=balanced, loss=loss)


def test_a_run_learned_that_is_often_right_and_too_sure_where_it_errs():
    """SqueezeNet's head on 244 photographs: loss 0.9 all along, 73 % right."""
    plan, wild = Plan("steps", (100,), 10.0), 1.3 * math.log(2)
    history = (point(50, loss=wild), point(100, loss=wild))
    assert not did_not_learn(history, plan, EVEN, best=best(wild, balanced=0.73), lucky=LUCKY)
    assert did_not_learn(history, plan, EVEN, best=best(wild, balanced=0.59), lucky=LUCKY)


@pytest.mark.parametrize("counts", [(6, 6), (190, 10), (40, 0, 40, 40)])
def test_luck_hardly_lifts_answers_that_ignore_the_images(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    generator, present = np.random.default_rng(0), [k for k, count in enumerate(counts) if count]
    answers = generator.choice(present, size=(2000, len(labels)))
    recalls = np.array([[(row[labels == k] == k).mean() for k in present] for row in answers]).mean(1)
    chance, lucky = 1 / len(present), lucky_accuracy(labels, len(counts))
    assert (recalls > lucky).mean() < 0.01
    assert lucky == pytest.approx(chance + max(3 * recalls.std(), 0.25 * (1 - chance)), abs=0.02)


@pytest.mark.parametrize("per_class", [100, 1000])
def test_untrained_answers_hardly_exceed_luck_where_images_of_a_class_are_alike(per_class):
    """Answers of random linear networks to clusters, one per class."""
    generator, labels = np.random.default_rng(0), np.repeat(np.arange(10), per_class)
    images = generator.normal(size=(len(labels), 32)) + 0.5 * generator.normal(size=(10, 32))[labels]
    hits = [(images @ generator.normal(size=(32, 10))).argmax(1) == labels for _ in range(200)]
    assert np.mean([hit.reshape(10, per_class).mean(1).mean() > lucky_accuracy(labels, 10) for hit in hits]) < 0.01


def phases(*rows):
    return SimpleNamespace(phases=rows)


def trained(**settings):
    return TrainRecipe.model_construct(**{"class_balance": "none", "label_smoothing": 0.0, **settings})


UNEVEN = np.repeat([0, 1], [190, 10])


@pytest.mark.parametrize("settings", [{}, {"label_smoothing": 0.1}, {"class_balance": "loss_weights"}], ids=str)
def test_guessing_is_the_best_constant_answer_to_what_is_trained(settings):
    """Against the logits that a hundred steps of L-BFGS find for the very loss of a training step."""
    labels = torch.from_numpy(UNEVEN)
    weights = class_weights(labels, 2) if settings.get("class_balance") else None
    logits = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], lr=0.5, max_iter=100)

    def loss():
        optimizer.zero_grad()
        value = cross_entropy(
            logits.expand(len(labels), 2), labels, None if weights is None else weights.double(),
            label_smoothing=settings.get("label_smoothing", 0.0),
        )  # fmt: skip
        value.backward()
        return value

    optimizer.step(loss)
    each = cross_entropy(logits.detach().expand(len(labels), 2), labels, reduction="none")
    (found,) = guesses_of(phases(trained(**settings)), UNEVEN, 2)
    assert found.loss == pytest.approx(float(each.mean()), abs=1e-4)
    assert found.spread == pytest.approx(float(each.std(unbiased=False)), abs=1e-3)


def test_guessing_is_ln_k_of_equal_classes_whatever_the_recipe():
    recipes = phases(trained(), trained(label_smoothing=0.1), trained(class_balance="balanced_sampling"))
    for found in guesses_of(recipes, np.arange(12) % 4, 4):
        assert (found.loss, found.spread) == pytest.approx((math.log(4), 0))
    (fitted,) = guesses_of(phases(FitRecipe.model_construct()), np.array([0, 0, 2, 2]), 3)
    assert fitted.loss == pytest.approx(math.log(2)), "a class without images costs a guess nothing"


def test_a_run_that_names_the_largest_class_of_very_unequal_ones_did_not_learn():
    """Its loss is .199, far below ln 2, and it has 95 % right."""
    plan, guesses = Plan("steps", (100,), 10.0), guesses_of(phases(trained()), UNEVEN, 2)
    entropy = guesses[0].loss
    assert entropy == pytest.approx(-0.95 * math.log(0.95) - 0.05 * math.log(0.05))

    def history(*losses):
        return tuple(
            point(50 + n, loss=loss).model_copy(update={"images_seen": 8000 * (n + 1)}) for n, loss in enumerate(losses)
        )

    assert did_not_learn(history(entropy, entropy), plan, guesses, best=best(entropy), lucky=LUCKY)
    assert not did_not_learn(history(entropy, entropy), plan, guesses, best=best(0.9 * entropy), lucky=LUCKY)
    lucky = LEARNED * entropy - guesses[0].spread / math.sqrt(8000)
    assert did_not_learn(history(entropy, lucky), plan, guesses, best=best(entropy), lucky=LUCKY), (
        "few of the rare class"
    )
    assert not did_not_learn(history(entropy, 0.8 * entropy), plan, guesses, best=best(entropy), lucky=LUCKY)


def test_each_phase_is_held_against_its_own_guess():
    plan = Plan("steps", (50, 100), 10.0)
    guesses = guesses_of(phases(trained(), trained(class_balance="balanced_sampling")), UNEVEN, 2)
    second = point(90, loss=0.5).model_copy(update={"phase": 1, "images_seen": 1000})
    assert not did_not_learn((second,), plan, guesses, best=best(0.3), lucky=LUCKY), "ln 2 is what guessing costs there"
    first = second.model_copy(update={"phase": 0})
    assert did_not_learn((first,), plan, guesses, best=best(0.3), lucky=LUCKY)
