"""Parameters, multiply-adds and input size of every model: a table that the package ships, as no library has them all.

`python -m tlcore.training.catalogue.table [FILE]` makes it anew, for other versions of the libraries: each network is
built once without memory, and the operations of one forward pass on one image are counted. Ten minutes on two cores.
"""

import argparse
import csv
import os
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
import torchvision
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import get_model

from tlcore.errors import ModelError
from tlcore.training.networks.construction import own_arguments
from tlcore.training.networks.models import model_facts
from tlcore.training.networks.names import architecture_of, known_models, library_of

TABLE = Path(__file__).with_name("catalogue.csv")
_PARALLEL = 16  # models between two looks at the processes


class Row(NamedTuple):
    """One model. gmacs: 10⁹ multiply-adds for one image of input_size px, None where they cannot be counted.

    problem: why the model cannot be used here, in the words of the error; then the numbers may be None.
    """

    model: str
    num_parameters: int | None
    gmacs: float | None
    input_size: int | None
    problem: str


def read_table(path: Path = TABLE) -> dict[str, Row]:
    """The shipped table by model."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return {row["model"]: _parsed(row) for row in csv.DictReader(lines)}


def measure(model: str) -> Row:
    """The row of one model, found by building it without memory."""
    try:
        facts = model_facts(model)
    except ModelError as error:
        said = str(error).splitlines()[0]
        return Row(model, None, None, None, said.partition(" cannot be built: ")[2] or said)
    side = facts.preprocessing.size
    return Row(model, facts.num_parameters, _gmacs(model, side), side, "")


def write_table(path: Path, rows: Iterable[Row]) -> None:
    """Write the table, with the versions that it was made with in its first line."""
    versions = ", ".join(f"{module.__name__} {module.__version__}" for module in (timm, torchvision, torch))
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"# made by python -m tlcore.training.catalogue.table with {versions}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows(["" if value is None else value for value in row] for row in rows)


def _gmacs(model: str, side: int) -> float | None:
    """Half of the floating-point operations that torch counts in matrix products, convolutions and attention."""
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            module = _published(model)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            module.to("meta").eval().requires_grad_(False)(torch.empty(1, 3, side, side, device="meta"))
    except (RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError) as error:
        sys.stderr.write(f"{model}: its operations cannot be counted: {str(error).splitlines()[:1]}\n")
        return None
    return round(counter.get_total_flops() / 2e9, 4) or None


def _published(model: str) -> Any:
    """The library's own network with its own classifier."""
    if library_of(model) == "timm":
        return timm.create_model(model)
    with torch.device("cpu" if "regnet" in model else "meta"):  # RegNets read values of tensors while they are built
        return get_model(architecture_of(model), weights=None, **own_arguments(model))


def _parsed(row: dict[str, str]) -> Row:
    return Row(
        model=row["model"],
        num_parameters=int(row["num_parameters"]) if row["num_parameters"] else None,
        gmacs=float(row["gmacs"]) if row["gmacs"] else None,
        input_size=int(row["input_size"]) if row["input_size"] else None,
        problem=row["problem"],
    )


def main() -> None:
    """Measure every model on all cores and write the table."""
    parser = argparse.ArgumentParser(prog="python -m tlcore.training.catalogue.table", description=main.__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=TABLE, help="where to write it; default: %(default)s")
    path: Path = parser.parse_args().file
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        rows = list(pool.map(measure, known_models(), chunksize=_PARALLEL))
    write_table(path, rows)
    unusable = sum(bool(row.problem) for row in rows)
    uncounted = sum(row.gmacs is None for row in rows) - unusable
    sys.stderr.write(f"{len(rows)} models, {unusable} cannot be used, {uncounted} without a count; wrote {path}\n")


if __name__ == "__main__":
    main()
