"""The drawn schedule of learning rates against what real runs recorded."""

import pytest

from tests.training_support import FLOAT32, Bench, Recorder, tiny_dataset
from tlcore.analysis import anatomy, charts
from tlcore.analysis.schedule import schedule_of
from tlcore.results import RunRecord
from tlcore.spec import Budget
from tlcore.strategies import parse_strategy
from tlcore.training import run as run_module

CASES = {
    "staged": ("staged_fine_tuning", {}),
    "layer decay": ("fine_tuning", {"layer_decay": 0.6, "schedule": "linear", "warmup": 0.2}),
    "gradual": ("gradual_unfreezing", {}),
    "fit first": ("lp_ft", {"schedule": "step"}),
    "patience": ("staged_fine_tuning", {"patience": 1}),
    "adapters": ("lora", {"layer_decay": 0.6}),
}


def _drawn(tmp_path, monkeypatch, strategy, own_strategy=None, model="test_resnet", **asked):
    """A run of 42 steps as it is recorded, and the rates that are drawn for it, by group and step."""
    monkeypatch.setattr(run_module, "pick_device", lambda asked: FLOAT32)
    bench = Bench(tmp_path, tiny_dataset(tmp_path, classes=3, per_class=10), model, Budget(steps=42))
    spec = bench.spec("fine_tuning", **asked).model_copy(update={"strategy": strategy, "own_strategy": own_strategy})
    recorder = Recorder()
    outcome = bench.run(spec, "run", recorder)
    run = RunRecord(
        run_id="a", comparison_id="b", spec=spec, status="FINISHED", resolved=recorder.resolution, outcome=outcome,
        history=recorder.histories[-1][0],
    )  # fmt: skip
    return run, {(s.group, step): rate for s in schedule_of(run) for step, rate in zip(s.steps, s.rates, strict=True)}


def test_a_head_that_a_pattern_leaves_out_has_no_rate(tmp_path, monkeypatch):
    own = parse_strategy("name: mine\nphases: [{train: head, share: .5}, {train: ^layer4, share: .5}]", "my.yaml")
    run, drawn = _drawn(tmp_path, monkeypatch, "mine", own)
    recorded = {(g, p.step) for p in run.history for g in p.learning_rates}
    assert recorded <= drawn.keys()
    steps = {group: {step for name, step in drawn if name == group} for group in ("head", "backbone")}
    assert steps == {"head": set(range(1, 22)), "backbone": set(range(22, 43))}


@pytest.mark.parametrize(("strategy", "overrides"), CASES.values(), ids=CASES)
def test_the_drawn_schedule_goes_through_every_recorded_rate(tmp_path, monkeypatch, strategy, overrides):
    model = "test_vit" if strategy == "lora" else "test_resnet"
    run, drawn = _drawn(tmp_path, monkeypatch, strategy, model=model, overrides=overrides)
    recorded = {(g, p.step): rate for p in run.history for g, rate in p.learning_rates.items()}
    assert len(recorded) >= 3
    assert recorded == pytest.approx({key: drawn.get(key) for key in recorded})
    if "patience" in overrides:
        assert run.outcome.phases[0].last_step < 14, "patience was to end the first phase early"
    steps = {step for group, step in drawn if group == "head"}
    assert steps == set(range(1, run.outcome.phases[-1].last_step + 1)), "a rate at every step"
    modes = {trace.mode for trace in charts.learning_rates([anatomy.Subject(run, run.spec.entry)]).data}
    assert modes == {"lines", "markers"}
