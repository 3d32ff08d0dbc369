"""Whether runs that are to stand side by side are tested on the same images."""

from tlcore.datasets import splits, store
from tlcore.errors import SpecError
from tlcore.results import ComparisonRecord
from tlcore.settings import get_settings


def require_same_tests(existing: ComparisonRecord) -> None:
    """For each seed, the dataset still gives the test images that the comparison's runs have met.

    It may not where it was deleted and imported again by another version of the code, which may find other near
    duplicates to keep together.
    Raises: SpecError naming a seed; NotFoundError, SplitError.
    """
    met = {(run.spec.seed, run.resolved.test_fingerprint) for run in existing.runs if run.resolved is not None}
    if not met:
        return
    spec = existing.spec
    dataset = store.load_dataset(spec.dataset_id, get_settings())
    drawn: dict[int, str] = {}
    for seed, fingerprint in sorted(met):
        known = 0 if spec.split_plan.is_fixed else seed
        if known not in drawn:
            drawn[known] = splits.make_split(dataset, seed, plan=spec.split).test_fingerprint
        if drawn[known] != fingerprint:
            raise SpecError(
                f"these runs cannot join comparison {existing.comparison_id}: its runs of seed {seed} were tested on "
                f"other images of {dataset.info.name} than are drawn now (test split {fingerprint[:12]}, now "
                f"{drawn[known][:12]}), as where the dataset was imported again by another version; start another "
                f"comparison"
            )
