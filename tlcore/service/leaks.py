"""Test images that a run's weights have already learned from: with them, a test accuracy would be too good."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from tlcore import tracking
from tlcore.datasets.dataset import Dataset, Split
from tlcore.errors import WeightsError
from tlcore.results import TrainedStep
from tlcore.settings import get_settings

_EXAMPLES = 3


def require_no_leaks(dataset: Dataset, drawn: Iterable[Split], sources: Mapping[str, str]) -> None:
    """No weights of a run have learned from an image of any test split drawn, by the bytes of its file.

    sources: weights by model; those of a run are `run:RUN_ID`, or its file wherever it was copied to. Near duplicates,
    such as the same photograph in another size, are not found.
    Raises: WeightsError, which names some of the images; also where the run does not tell what it learned from.
    """
    hashes = dataset.images["sha256"].tolist()
    tested = {hashes[row]: row for split in drawn for row in split.test}
    paths = dataset.images["path"]
    for source in dict.fromkeys(sources.values()):
        for step in _steps(source):
            leaked = sorted(tested[sha256] for sha256 in tested.keys() & set(step.images))
            if leaked:
                examples = ", ".join(str(paths.iloc[row]) for row in leaked[:_EXAMPLES])
                raise WeightsError(_message(source, step, len(leaked), len(tested), dataset.info.name, examples))


def _steps(source: str) -> tuple[TrainedStep, ...]:
    kind, _, run_id = source.partition(":")
    if kind == "file":
        told = tracking.trained_on_of_file(Path(run_id).expanduser())
        return told.steps if told else ()
    if kind != "run":
        return ()
    found = tracking.load_trained_on(get_settings(), run_id)
    if found is None:
        raise WeightsError(
            f"run {run_id} does not tell which images it learned from, so test images could be among them: train it "
            f"again with this version, or choose other weights"
        )
    return found.steps


def _message(source: str, step: TrainedStep, leaked: int, tested: int, name: str, examples: str) -> str:
    came = "" if source == f"run:{step.run_id}" else f", from which the weights of {source} come,"
    return (
        f"run {step.run_id}{came} learned from {leaked} of the {tested} test images of {name} (such as {examples}), "
        f"which are also in {step.dataset_name}: its test accuracy would be too good; leave these images out of "
        f"{step.dataset_name} and train the source again, or choose other weights"
    )
