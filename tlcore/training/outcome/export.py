"""The `model/` folder of a run: all that is needed to use the network elsewhere, without this package.

weights.safetensors, model.json (format 1), labels.txt (one class per line, in the order of the scores),
preprocessing.json and predict.py, a script that needs only torch, torchvision, numpy, Pillow, safetensors and timm (for
models of timm), with pixels.py, which reads pictures. k-NN adds knn.safetensors with its reference features, and a
network that differs from the library's own adds network.py, the code of its changes; one from ONNX also backbone.onnx
with its sidecar, and needs onnxruntime. Taking a model home is copying this folder.

The `open_rgb` of pixels.py, and the one of tracking/pyfunc_model.py, give the pixels of `open_rgb` in
`datasets.pictures.decoding`.
"""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from tlcore.recipes import FitRecipe, Recipe
from tlcore.results import TRAINED_ON_KEY, TrainedOn
from tlcore.spec import RunSpec
from tlcore.training.features.fitting import KNN_FEATURES, KNN_LABELS
from tlcore.training.loop.checkpoints import save_tensors, write_text
from tlcore.training.networks import onnx_network, rewiring
from tlcore.training.networks.models import Network
from tlcore.training.outcome import pixels_script

FORMAT = 1
PIXELS = Path(pixels_script.__file__)  # how a picture becomes pixels
REWIRING = Path(rewiring.__file__)  # the code of networks that differ from the library's own

_START = '''\
"""Classify images with this model: python predict.py IMAGE..."""
import json, runpy, sys, torch, {library}
from pathlib import Path
from safetensors.torch import load_file
from torchvision.transforms import v2 as T
here = Path(__file__).resolve().parent
about = json.loads((here / "model.json").read_text(encoding="utf-8"))
labels, p = about["classes"], about["preprocessing"]
shape = [T.Resize({resize}, T.InterpolationMode(p["interpolation"])), T.CenterCrop(p["size"]), T.PILToTensor()]
prepare = T.Compose([*shape, T.ToDtype(torch.float32, scale=True), T.Normalize(p["mean"], p["std"])])
model = {build}
{changes}model.load_state_dict(load_file(here / "weights.safetensors"))
open_rgb = runpy.run_path(str(here / "pixels.py"))["open_rgb"]
'''

_REWIRE = 'runpy.run_path(here / "network.py")["rewire"](model, about["rewiring"], len(labels))'

_BUILD_ONNX = (
    f'runpy.run_path(here / "network.py")["build"](about["rewiring"], here / "{onnx_network.FILE}", len(labels))'
)

_LINEAR = """\
for path in sys.argv[1:]:
    scores = model.eval()(prepare(open_rgb(path))[None])[0].detach()
    print(json.dumps({{"path": path, "predicted": labels[scores.argmax()]{probabilities}}}))
"""

_NEIGHBORS = """\
known, seen = load_file(here / "knn.safetensors"), []
model.get_submodule(about["head_name"]).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0].detach()))
for path in sys.argv[1:]:
    model.eval()(prepare(open_rgb(path))[None])
    near = (known["features"] @ torch.nn.functional.normalize(seen.pop(), dim=0)).topk(about["neighbors"]).indices
    scores = torch.bincount(known["labels"][near], minlength=len(labels)) / about["neighbors"]
    print(json.dumps({{"path": path, "predicted": labels[scores.argmax()]{probabilities}}}))
"""

_SOFTMAX = ', "probabilities": dict(zip(labels, scores.softmax(0).tolist()))'
_SHARES = ', "probabilities": dict(zip(labels, scores.tolist()))'


def write_model(
    folder: Path,
    network: Network,
    tensors: dict[str, Tensor],
    spec: RunSpec,
    recipe: Recipe,
    classes: tuple[str, ...],
    has_probabilities: bool,
    trained_on: TrainedOn | None = None,
) -> None:
    """Write the folder. tensors: of the run's best, with the k-NN's beside the network's. Raises: StorageError.

    has_probabilities: as of `checkpoints.Best`. trained_on: goes with the weights, wherever their file is copied to.
    """
    description = describe(network, spec, recipe, classes, has_probabilities)
    own = {name: tensor for name, tensor in tensors.items() if name not in (KNN_FEATURES, KNN_LABELS)}
    told = {TRAINED_ON_KEY: trained_on.model_dump_json()} if trained_on else None
    save_tensors(folder / "weights.safetensors", own, told)
    if description["head"] == "knn":
        description["neighbors"] = min(description["neighbors"], len(tensors[KNN_LABELS]))
        references = {"features": tensors[KNN_FEATURES], "labels": tensors[KNN_LABELS]}
        save_tensors(folder / "knn.safetensors", references)
    _write_json(folder / "model.json", description)
    _write_json(folder / "preprocessing.json", description["preprocessing"])
    write_text(folder / "labels.txt", "".join(f"{name}\n" for name in classes))
    write_text(folder / "predict.py", predict_script(description))
    write_text(folder / "pixels.py", PIXELS.read_text(encoding="utf-8"))
    onnx = network.facts.library == "onnx"
    if network.rewiring:
        write_text(folder / "network.py", (onnx_network.CODE if onnx else REWIRING).read_text(encoding="utf-8"))
    if onnx:
        onnx_network.write_files(folder, network.facts.model, recipe.preprocessing, dict(network.rewiring))


def describe(
    network: Network, spec: RunSpec, recipe: Recipe, classes: tuple[str, ...], has_probabilities: bool
) -> dict[str, Any]:
    """The content of model.json. has_probabilities: whether softmax of the scores means anything (not for an SVM)."""
    last = recipe.phases[-1]
    classifier = last.classifier if isinstance(last, FitRecipe) else None
    return {
        "format": FORMAT,
        "library": network.facts.library,
        "architecture": network.architecture,
        "build_arguments": dict(network.build_arguments),
        "head_surgery": network.head_surgery,
        "head_name": network.head_name,
        "network": network.changes.model_dump(mode="json"),
        "rewiring": dict(network.rewiring),
        "model": spec.model,
        "image_size": network.image_size,
        "classes": list(classes),
        "num_classes": len(classes),
        "preprocessing": recipe.preprocessing.model_dump(mode="json"),
        "strategy": spec.strategy,
        "weights": spec.weights,
        "seed": spec.seed,
        "head": "knn" if classifier == "knn" else "linear",
        "probabilities": has_probabilities,
        "neighbors": last.neighbors if isinstance(last, FitRecipe) else None,
    }


def predict_script(description: dict[str, Any]) -> str:
    """predict.py: prints one JSON object for each image, computed in float32 on the CPU."""
    arguments = "".join(f", {name}={value!r}" for name, value in description["build_arguments"].items())
    onnx = description["library"] == "onnx"
    timm = description["library"] == "timm"
    maker = "timm.create_model" if timm else "torchvision.models.get_model"
    surgery = description["head_surgery"].format(num_classes="len(labels)")
    rewire = _REWIRE if description["rewiring"] and not onnx else ""
    named = f"{maker}({description['architecture']!r}, num_classes=len(labels){arguments})"
    start = _START.format(
        library="onnxruntime" if onnx else "timm" if timm else "torchvision",
        resize='p["resize"]' if description["preprocessing"]["resize"] else '[p["size"], p["size"]]',
        build=_BUILD_ONNX if onnx else named,
        changes="".join(f"{line}\n" for line in (surgery, rewire) if line),
    )
    if description["head"] == "knn":
        return start + _NEIGHBORS.format(probabilities=_SHARES)
    return start + _LINEAR.format(probabilities=_SOFTMAX if description["probabilities"] else "")


def _write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
