"""The learning-rate finder: checked, queued for a worker, looked at while it goes on, and read."""

import time
from collections.abc import Iterator
from typing import Any

from tlcore import jobs
from tlcore.datasets.dataset import DatasetInfo
from tlcore.errors import SpecError
from tlcore.recipes import MAX_RECIPE_PHASES, TrainRecipe
from tlcore.recipes.search import RateRange
from tlcore.results import JobView, RateFinding
from tlcore.service import models, plans
from tlcore.settings import get_settings
from tlcore.spec import checked
from tlcore.strategies import split_reference

POLL_SECONDS = 0.3


def require_sensible(model: str, strategy: str, **wishes: Any) -> None:
    """Refuse what makes no sense on any dataset, before one is read. Takes what `submit` does. Raises: SpecError."""
    plans.require_sensible(**_asked(model, strategy, **wishes)[1])


def submit(dataset: DatasetInfo, model: str, strategy: str, **wishes: Any) -> str:
    """Queue a search for the learning rate of a strategy's first gradient phase; returns the job's id at once.

    wishes: weights, as of `compare`; low, high and steps, as of `RateRange`, whose defaults None leaves; seed; other
    values of `plans.make_spec`, such as overrides, image_size, batch_size and device. The split is fixed where none is
    given.
    Raises: SpecError, also where the strategy takes no gradient steps; ModelError, WeightsError, DeviceError.
    """
    wanted, fields = _asked(model, strategy, **wishes)
    spec = plans.make_spec(dataset, **fields)
    plan = plans.make_plan(spec)
    (run,) = plan.runs
    if not any(isinstance(phase, TrainRecipe) for phase in plan.recipes[run.model, run.strategy].phases):
        raise SpecError(f"{run.strategy} takes no gradient steps, so it has no learning rate to find")
    file = models.tracked_weights(run.weights)
    asked = run.model_copy(update={"device": plan.device})
    request = {
        "question": "lr_find",
        "spec": asked.model_dump(mode="json"),
        "weights_path": file and str(file),
        **wanted.model_dump(),
    }
    title = f"Learning rate of {run.strategy} on {run.model}"
    return jobs.submit_question(get_settings(), request, title, plan.device)


def _asked(
    model: str,
    strategy: str,
    *,
    weights: str = "imagenet",
    low: float | None = None,
    high: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    **shared: Any,
) -> tuple[RateRange, dict[str, Any]]:
    """The rates to try, and the fields of the spec of a run whose first gradient phase they are tried in: see `submit`.

    Raises: SpecError.
    """
    given = {"low": low, "high": high, "steps": steps}
    wanted = checked(RateRange, **{name: value for name, value in given.items() if value is not None})
    enough = max(wanted.steps, MAX_RECIPE_PHASES)  # for any strategy, of which it trains the first phase alone
    return wanted, {
        "models": [model], "strategies": [strategy], "weights": [weights], "seeds": (seed,), "steps": enough, **shared
    }  # fmt: skip


def job(job_id: str) -> JobView:
    """How far a search is; it is seen to where its supervisor died. Raises: NotFoundError."""
    jobs.recover(get_settings())
    return jobs.get_job(get_settings(), job_id)


def watch(job_id: str) -> Iterator[JobView]:
    """The state of a search, again and again until it is over."""
    while (found := job(job_id)).status in ("QUEUED", "RUNNING"):
        yield found
        time.sleep(POLL_SECONDS)


def finding(job_id: str) -> RateFinding | None:
    """What a search found; None while it goes on. Raises: the TlcoreError that it met; JobError, NotFoundError."""
    answer = jobs.answer_of(get_settings(), job_id)
    return None if answer is None else RateFinding.model_validate(answer)


def cancel(job_id: str) -> None:
    """End a search at its next step."""
    jobs.cancel(get_settings(), [job_id])


def finding_html(found: RateFinding) -> str:
    """What a search found, drawn, as one HTML page that works offline."""
    from tlcore.analysis.report.rates import rate_html

    return rate_html(found)


def how_to_use(found: RateFinding) -> list[str]:
    """The options of `compare` that take the suggestion over; none where there is no suggestion."""
    name = split_reference(found.strategy)[0]
    return [f"--set {name}.{key}={value:g}" for key, value in found.settings.items()]
