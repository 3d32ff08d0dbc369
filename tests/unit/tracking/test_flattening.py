"""What goes to MLflow, as plain values."""

from tests.helpers_mlflow import DATASET, make_history, make_outcome, make_spec
from tlcore.results import Floor
from tlcore.tracking.creating import default_title, run_params
from tlcore.tracking.writing import _flatten, outcome_metrics, point_metrics


def test_params_are_the_spec_as_asked() -> None:
    run = make_spec(overrides={"fine_tuning": {"weight_decay": 0.0}}).runs()[1]
    params = run_params(run)
    assert params["strategy"] == "fine_tuning"
    assert params["override_weight_decay"] == "0.0"
    assert params["budget_epochs"] == "2"
    assert params["image_size"] == "default"
    assert all(isinstance(value, str) for value in params.values())


def test_a_point_without_a_value_has_no_metric_for_it() -> None:
    point = make_history(1)[0].model_copy(update={"train_loss": None, "val_loss": 0.0})
    metrics = point_metrics(point)
    assert "train/loss" not in metrics
    assert metrics["val/loss"] == 0.0
    assert metrics["lr/backbone"] == 0.001


def test_final_metrics_are_named_by_part() -> None:
    metrics = outcome_metrics(make_outcome())
    assert metrics["test/accuracy"] == 0.75
    assert metrics["test/balanced_accuracy"] == 0.7
    assert metrics["last/val_loss"] == 0.6
    assert "test/ece" not in metrics


def test_floors_and_the_cost_of_use_are_metrics_where_they_are_known() -> None:
    part = make_outcome().test
    floor = Floor(name="nearest_class_mean", val=part, test=part.model_copy(update={"accuracy": 0.625}))
    metrics = outcome_metrics(make_outcome(floors=(floor,), model_bytes=7, latency_ms=1.5))
    assert metrics["floor/nearest_class_mean_test_accuracy"] == 0.625
    assert (metrics["cost/model_bytes"], metrics["cost/latency_ms"]) == (7.0, 1.5)
    assert not {"cost/model_bytes", "cost/latency_ms"} & set(outcome_metrics(make_outcome()))


def test_nested_settings_become_dotted_tags_and_nothing_becomes_none() -> None:
    flat = _flatten({"recipe": {"phases": [{"learning_rate": 0.1}, {"classifier": "knn"}]}, "weights": None})
    assert flat == {"recipe.phases.0.learning_rate": "0.1", "recipe.phases.1.classifier": "knn"}


def test_titles_say_dataset_model_and_strategies() -> None:
    assert default_title(make_spec(), DATASET) == "tiny · test_resnet · 2 strategies"
    single = make_spec(strategies=("from_scratch",), models=("a", "b"))
    assert default_title(single, DATASET) == "tiny · 2 models · from_scratch"
