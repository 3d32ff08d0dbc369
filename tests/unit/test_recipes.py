"""Recipes follow RECIPES' sources: per strategy, dataset size and kind of network, with a person's values on top."""

from typing import Any

import pytest

from tlcore.errors import SpecError
from tlcore.recipes import DataFacts, ModelFacts, Preprocessing, Recipe, TrainRecipe, default_budget, resolve
from tlcore.strategies import STRATEGIES, Strategy, Unfreeze

MODEL = ModelFacts(
    model="m",
    library="timm",
    family="cnn",
    preprocessing=Preprocessing(size=224, resize=256, interpolation="bicubic", mean=(0.5,) * 3, std=(0.2,) * 3),
    crop_pct=0.875,
    fixed_input_size=False,
    num_parameters=1,
    num_features=1,
    num_groups=3,
    has_batch_norm=True,
)


def recipe(strategy: str, num_train: int = 195, short_side: int = 300, **wanted: Any) -> Recipe:
    model = wanted.pop("model", MODEL)
    return resolve(STRATEGIES[strategy], DataFacts(num_train, short_side), model, **wanted)


def phase(strategy: str, index: int = 0, **wanted: Any) -> TrainRecipe:
    found = recipe(strategy, **wanted).phases[index]
    assert isinstance(found, TrainRecipe)
    return found


def test_the_batch_grows_with_the_dataset() -> None:
    assert [recipe("fine_tuning", n).batch_size for n in (100, 1_999, 2_000)] == [32, 32, 64]


def test_rates_are_scaled_up_with_the_batch_but_never_down() -> None:
    rates = [phase("fine_tuning", batch_size=b).learning_rate for b in (16, 64, 128)]
    assert rates == pytest.approx([1e-2, 1e-2, 2e-2])


def test_fine_tuning_trains_the_backbone_ten_times_slower_than_the_head() -> None:
    made = phase("fine_tuning")
    assert made.learning_rate / made.backbone_learning_rate == pytest.approx(10)


def test_gradients_are_shortened_where_a_convolutional_network_trains_at_full_rates() -> None:
    clipped = ("fine_tuning", "gradual_unfreezing", "partial_fine_tuning", "from_scratch")
    assert {phase(strategy).gradient_clip for strategy in clipped} == {10}
    assert phase("transfer_learning").gradient_clip == 0
    assert [phase("staged_fine_tuning", index).gradient_clip for index in (0, 1)] == [0, 0]
    assert phase("fine_tuning", model=MODEL.model_copy(update={"family": "transformer"})).gradient_clip == 0


def test_a_random_start_without_batch_norm_is_slower() -> None:
    plain = MODEL.model_copy(update={"has_batch_norm": False})
    assert phase("from_scratch", model=plain).learning_rate == pytest.approx(phase("from_scratch").learning_rate / 10)
    assert phase("fine_tuning", model=plain).learning_rate == phase("fine_tuning").learning_rate


def test_the_second_stage_is_ten_times_slower_than_plain_fine_tuning() -> None:
    plain, second = phase("fine_tuning"), phase("staged_fine_tuning", 1)
    assert plain.learning_rate / second.learning_rate == pytest.approx(10)
    assert plain.backbone_learning_rate / second.backbone_learning_rate == pytest.approx(10)


@pytest.mark.parametrize("strategy", ["staged_fine_tuning", "lp_ft"])
@pytest.mark.parametrize("num_train", [200, 5_000])
def test_the_second_stage_keeps_pretrained_statistics_however_many_images(strategy: str, num_train: int) -> None:
    assert phase(strategy, 1, num_train=num_train).normalization == "eval"
    assert phase(strategy, 1, num_train=num_train, overrides={"normalization": "train"}).normalization == "train"


@pytest.mark.parametrize(
    ("num_train", "batch_size", "expected"), [(999, 32, "eval"), (1_000, 32, "train"), (5_000, 8, "eval")]
)
def test_few_images_or_small_batches_keep_pretrained_statistics(num_train: int, batch_size: int, expected: str) -> None:
    assert phase("fine_tuning", num_train=num_train, batch_size=batch_size).normalization == expected


def test_from_scratch_always_learns_its_own_statistics() -> None:
    assert phase("from_scratch", num_train=50, batch_size=8).normalization == "train"


def test_transformers_get_adamw() -> None:
    vit = MODEL.model_copy(update={"family": "transformer", "has_batch_norm": False})
    assert phase("fine_tuning", model=vit).optimizer == "adamw"
    assert phase("transfer_learning", model=vit).optimizer == "sgd"


def test_small_images_are_trained_small_unless_the_network_forbids_it() -> None:
    assert recipe("fine_tuning", short_side=64).preprocessing.size == 128
    assert recipe("fine_tuning", short_side=96).preprocessing.size == 224
    fixed = MODEL.model_copy(update={"fixed_input_size": True})
    assert recipe("fine_tuning", short_side=64, model=fixed).preprocessing.size == 224


def test_another_size_keeps_the_crop_percentage() -> None:
    assert recipe("fine_tuning", image_size=112).preprocessing.resize == 128
    fixed = MODEL.model_copy(update={"fixed_input_size": True})
    with pytest.raises(SpecError, match="224 px only, not 112"):
        recipe("fine_tuning", image_size=112, model=fixed)


def test_a_persons_own_values_win() -> None:
    assert phase("fine_tuning", overrides={"weight_decay": 0.5}).weight_decay == 0.5


@pytest.mark.parametrize(
    ("strategy", "overrides", "message"),
    [
        ("feature_extraction", {"learning_rate": 1}, "feature_extraction has no setting learning_rate.*classifier"),
        ("fine_tuning", {"classifier": "knn"}, "no setting classifier"),
        ("fine_tuning", {"learningrate": 0.1}, "did you mean learning_rate.* cut_at, .*head_dropout, .*layers, "),
        ("partial_fine_tuning", {"last_group": 1}, "did you mean last_groups"),
        ("feature_extraction", {"cutat": 1}, r"did you mean cut_at\? it has c_high, .*cut_at, .*layers"),
        ("staged_fine_tuning", {"2.cutat": 1}, "2.cutat: it has (?!.*cut_at)"),
        ("fine_tuning", {"learning_rate": "nan"}, "learning_rate='nan' cannot be used"),
        ("fine_tuning", {"trainable": "head"}, "no setting trainable"),
        ("fine_tuning", {"learning_rate": -1}, "learning_rate=-1 cannot be used: it must be more than 0"),
        ("fine_tuning", {"learning_rate": "abc"}, "learning_rate='abc' cannot be used: it must be a number"),
        ("fine_tuning", {"patience": 1.5}, "patience=1.5 cannot be used: it must be a whole number"),
        ("fine_tuning", {"optimizer": "lion"}, "optimizer='lion' cannot be used: it must be 'sgd', 'adamw' or 'adam'"),
        ("fine_tuning", {"learning_rate": True}, "learning_rate=True cannot be used: it is no switch"),
        ("fine_tuning", {"patience": False}, "patience=False cannot be used: it is no switch"),
        ("fine_tuning", {"optimizer": True}, "optimizer=True cannot be used: it is no switch"),
        ("fine_tuning", {"cut_at": True}, "cut_at=True cannot be used: it is how many layer groups are kept"),
        ("fine_tuning", {"layers": True}, "layers='True' cannot be used"),
        ("fine_tuning", {"layers": "2+1+02"}, r"layers='2\+1\+02' cannot be used: it names a layer group twice"),
        ("feature_extraction", {"views": True}, "views=True cannot be used: it is no switch"),
        ("partial_fine_tuning", {"last_groups": True}, "last_groups=True cannot be used"),
        ("feature_extraction", {"classifier": "forest"}, "classifier='forest' cannot be used"),
    ],
)
def test_a_setting_that_does_not_apply_is_refused(strategy: str, overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message) as refused:
        recipe(strategy, overrides=overrides)
    assert strategy in str(refused.value), "several strategies may have the setting"


@pytest.mark.parametrize(
    ("strategy", "overrides", "reason"),
    [
        ("transfer_learning", {"backbone_learning_rate": 1e-3}, "only the head trains"),
        ("transfer_learning", {"layer_decay": 0.5}, "no layer group trains"),
        ("transfer_learning", {"normalization": "train"}, "frozen backbone"),
        ("fine_tuning", {"optimizer": "adamw", "momentum": 0.8}, "only the optimizer sgd has momentum"),
        ("fine_tuning", {"weight_decay": 0, "decay_norms": True}, "the weight decay is 0"),
        ("fine_tuning", {"lora_rank": 4}, "no adapters train"),
        ("feature_extraction", {"neighbors": 5}, "only the classifier knn"),
        ("feature_extraction", {"classifier": "knn", "c_low": 0}, "k-NN has no C"),
        ("staged_fine_tuning", {"1.backbone_learning_rate": 1e-3}, "only the head trains"),
        ("fine_tuning", {"momentum": 0, "nesterov": True}, "nesterov would do nothing, as the momentum is 0"),
        ("partial_fine_tuning", {"last_groups": 1, "layer_decay": 0.5}, "only one layer group trains"),
        ("fine_tuning", {"cut_at": 1, "layer_decay": 0.5}, "only one layer group trains"),
        ("fine_tuning", {"patience": 900}, "patience would do nothing, as a run is evaluated 50 times at most"),
    ],
)
def test_a_setting_that_would_do_nothing_is_refused_with_the_reason(
    strategy: str, overrides: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SpecError, match=reason):
        recipe(strategy, overrides=overrides)


@pytest.mark.parametrize(
    ("strategy", "overrides", "message"),
    [
        ("partial_fine_tuning", {"last_groups": 4}, "3 layer groups below its head, so it is 0 .the head alone. to 3"),
        ("partial_fine_tuning", {"last_groups": -1}, "0 .the head alone. to 3"),
        ("partial_fine_tuning", {"last_groups": 0, "layer_decay": 0.5}, "no layer group trains as a whole"),
        ("fine_tuning", {"last_groups": 1}, "no setting last_groups"),
        ("partial_fine_tuning", {"7.last_groups": 2}, "no setting 7.last_groups"),
        ("partial_fine_tuning", {"2.last_groups": "x"}, "no setting 2.last_groups"),
        ("partial_fine_tuning", {"last_groups": "²"}, "last_groups=² cannot be used"),
        ("fine_tuning", {"layers": "²"}, "layers='²' cannot be used"),
        ("feature_extraction", {"c_low": 6}, "c_low=6 is above c_high=5"),
        ("feature_extraction", {"classifier": "linear_svm", "c_low": 2}, "c_low=2 is above c_high=1"),
        ("fine_tuning", {"cut_at": 4}, "layer group 4 does not exist: m has 3"),
        ("fine_tuning", {"cut_at": "1+2"}, r"cut_at=1\+2 cannot be used: it is how many .* kept, 1 to 3; several"),
        ("fine_tuning", {"cut_at": "last_conv"}, "cut_at=last_conv cannot be used"),
        ("fine_tuning", {"cut_at": True}, "cut_at=True cannot be used"),
        ("fine_tuning", {"cut_at": 1.5}, "cut_at=1.5 cannot be used"),
        ("fine_tuning", {"layers": "2+9"}, "layer group 9 does not exist"),
        ("fine_tuning", {"layers": "middle"}, "layers='middle' cannot be used"),
        ("fine_tuning", {"cut_at": 1, "layers": "2"}, "not both"),
        ("feature_extraction", {"hidden_units": 8}, "takes no hidden_units"),
        ("fine_tuning", {"grayscale": True}, "cannot adapt it to grayscale"),
        ("lora", {}, "linear layers, but they hold only 0%"),
        ("staged_fine_tuning", {"3.learning_rate": 1}, "no setting 3.learning_rate"),
    ],
)
def test_what_makes_no_sense_for_the_model_is_refused(strategy: str, overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        recipe(strategy, overrides=overrides)


def test_a_freeze_depth_of_none_has_the_recipe_of_the_others() -> None:
    none, one = (phase("partial_fine_tuning", overrides={"last_groups": count}) for count in (0, 1))
    assert (none.trainable, one.trainable) == ("head", "last:1")
    assert none == one.model_copy(update={"trainable": "head"})


@pytest.mark.parametrize("groups", [2, 4, 5, 19, 40])
def test_gradual_rates_fall_as_in_ulmfit_and_never_to_nothing(groups: int) -> None:
    """ULMFiT divides by 2.6 at each of its four groups: the lowest of a deeper network gets no smaller a part."""
    model = MODEL.model_copy(update={"num_groups": groups})
    last = recipe("gradual_unfreezing", model=model).phases[-1]
    assert isinstance(last, TrainRecipe)
    lowest = last.layer_decay ** (groups - 1)
    assert lowest == pytest.approx(2.6 ** -min(groups - 1, 3))
    mine = recipe("gradual_unfreezing", model=model, overrides={"layer_decay": 0.9}).phases[-1]
    assert isinstance(mine, TrainRecipe)
    assert mine.layer_decay == 0.9


def test_gradual_unfreezing_opens_one_group_after_another_from_the_top() -> None:
    phases = recipe("gradual_unfreezing").phases
    assert [p.trainable for p in phases if isinstance(p, TrainRecipe)] == ["head", "last:1", "last:2", "all"]
    assert sum(p.share for p in phases if isinstance(p, TrainRecipe)) == pytest.approx(1)
    deep = recipe("gradual_unfreezing", model=MODEL.model_copy(update={"num_groups": 60})).phases
    assert (len(deep), deep[-1].trainable) == (25, "all")  # type: ignore[union-attr]


def test_a_deep_network_unfreezes_evenly_in_25_stages() -> None:
    deep = recipe("gradual_unfreezing", model=MODEL.model_copy(update={"num_groups": 60})).phases
    counts = [int(p.trainable.partition(":")[2]) for p in deep[1:-1] if isinstance(p, TrainRecipe)]
    assert counts == [2, 5, 8, 10, 12, 15, 18, 20, 22, 25, 28, 30, 32, 35, 38, 40, 42, 45, 48, 50, 52, 55, 58]
    odd = recipe("gradual_unfreezing", model=MODEL.model_copy(update={"num_groups": 25})).phases
    assert [p.trainable for p in odd[11:16] if isinstance(p, TrainRecipe)] == [
        "last:11", "last:12", "last:14", "last:15", "last:16",
    ]  # fmt: skip


def test_a_recipe_has_at_most_49_phases() -> None:
    twice = Strategy("own", "Own", "Own", "", "pretrained", (Unfreeze(0.5, "gradual"),) * 2, "#000000")
    deep = MODEL.model_copy(update={"num_groups": 24})
    with pytest.raises(SpecError, match="own has 50 phases on m, 49 at most"):
        resolve(twice, DataFacts(195, 300), deep)
    assert len(resolve(twice, DataFacts(195, 300), MODEL).phases) == 8


@pytest.mark.parametrize("family", ["cnn", "transformer"])
def test_norms_and_biases_have_no_weight_decay_unless_asked(family: str) -> None:
    model = MODEL.model_copy(update={"family": family, "linear_share": 0.9})
    for strategy in STRATEGIES:
        phases = recipe(strategy, model=model).phases
        assert not any(p.decay_norms for p in phases if isinstance(p, TrainRecipe)), strategy
    assert phase("fine_tuning", overrides={"decay_norms": True}).decay_norms


def test_a_cut_network_has_fewer_groups_to_unfreeze() -> None:
    assert len(recipe("gradual_unfreezing", overrides={"cut_at": 1}).phases) == 2
    with pytest.raises(SpecError, match="1 layer groups"):
        recipe("partial_fine_tuning", overrides={"cut_at": 1, "last_groups": 2})


def test_a_value_for_one_phase_leaves_the_others() -> None:
    own = {"learning_rate": 0.5, "2.learning_rate": 0.25}
    rates = [phase("staged_fine_tuning", i, overrides=own).learning_rate for i in (0, 1)]
    assert rates == [0.5, 0.25]


def test_lora_is_for_networks_made_of_linear_layers() -> None:
    vit = MODEL.model_copy(update={"family": "transformer", "linear_share": 0.9})
    made = phase("lora", model=vit)
    assert (made.trainable, made.optimizer, made.augmentation) == ("lora", "adamw", "none")
    assert phase("lora", model=vit, overrides={"layer_decay": 0.7}).layer_decay == 0.7


def test_a_frozen_only_network_takes_strategies_that_leave_it_alone() -> None:
    onnx = MODEL.model_copy(update={"frozen_only": True})
    assert recipe("feature_extraction", model=onnx)
    assert recipe("transfer_learning", model=onnx)
    for strategy in ("fine_tuning", "staged_fine_tuning", "gradual_unfreezing", "from_scratch"):
        with pytest.raises(SpecError, match=r"frozen|its own"):
            recipe(strategy, model=onnx)


def test_default_budgets() -> None:
    assert str(default_budget(500, accelerated=True)) == "500 steps"
    assert str(default_budget(50_000, accelerated=True)) == "10000 steps"
    assert str(default_budget(500, accelerated=False)) == "5 epochs"
