"""The `model/` folder of a run: all that is needed to use the network elsewhere, without this package.

weights.safetensors, model.json (format 1), labels.txt (one class per line, in the order of the scores),
preprocessing.json and predict.py, a script that needs only torch, torchvision, Pillow, safetensors and timm (for
models of timm). k-NN adds knn.safetensors with its reference features, and a network that differs from the library's
own adds network.py, the code of its changes; one from ONNX also backbone.onnx with its sidecar, and needs onnxruntime.
Taking a model home is copying this folder.

The script's `open_rgb`, and the one of tracking/pyfunc_model.py, give the pixels of `open_rgb` in
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

FORMAT = 1
REWIRING = Path(rewiring.__file__)  # the code of networks that differ from the library's own

_START = '''\
"""Classify images with this model: python predict.py IMAGE..."""
import io, json, runpy, sys, numpy as np, torch, {library}
from pathlib import Path
from PIL import Image, ImageCms, ImageOps
from safetensors.torch import load_file
from torchvision.transforms import v2 as T
here = Path(__file__).resolve().parent
about = json.loads((here / "model.json").read_text(encoding="utf-8"))
labels, p = about["classes"], about["preprocessing"]
shape = [T.Resize({resize}, T.InterpolationMode(p["interpolation"])), T.CenterCrop(p["size"]), T.PILToTensor()]
prepare = T.Compose([*shape, T.ToDtype(torch.float32, scale=True), T.Normalize(p["mean"], p["std"])])
model = {build}
{changes}model.load_state_dict(load_file(here / "weights.safetensors"))
def in_srgb(image, n=np.arange(216)[None]):  # colours as the file's profile means them, unless it is unfit or sRGB's
    mode = "L" if image.mode in ("L", "LA", "La") else "RGBA" if image.has_transparency_data else image.mode
    own, srgb, mode = io.BytesIO(image.info["icc_profile"]), ImageCms.createProfile("sRGB"), mode.replace("P", "RGB")
    try:
        change = ImageCms.buildTransform(own, srgb, mode, mode if mode == "RGBA" else "RGB")
        cube = Image.fromarray(np.stack([n // 36, n // 6 % 6, n % 6], 2).astype("uint8") * 51).convert(mode)
        shown = change.apply((grey := image.convert("LA")).getchannel("L") if mode == "L" else image.convert(mode))
        shown.putalpha(grey.getchannel("A")) if mode == "L" else None
        return shown if abs(np.int16(change.apply(cube).convert("RGB")) - cube.convert("RGB")).max() > 2 else image
    except (OSError, ImageCms.PyCMSError):
        return image
def tops_of(opened, low, high):  # white: what the file says, else the first usual one; none: by its own range
    if opened.mode == "F":  # fractions overshoot their range where they were resampled
        over = [t for t in (1, 255) if -t / 2 <= low and high <= t * 1.5 and high >= (t > 1) * t / 2]
        return sorted([*over, *(t for t in (1, 255) if 0 <= low and high <= t)])
    tags = getattr(opened, "tag_v2", {{}})
    words = [*np.ravel(tags.get(281, 0)), *(2**b - 1 for b in np.ravel(tags.get(258, 16)) if b < 16)]
    said = [int(w) for w in words if w in [2**b - 1 for b in range(8, 17)]]
    return [t for t in (*said, 255, 4095, 65535) if 0 <= low and high <= t]
def open_rgb(path):  # upright; white where transparent; deep greyscale as in the training
    opened = Image.open(path)
    image = ImageOps.exif_transpose(opened)
    if image.mode[0] in "IF":
        v = np.asarray(image).astype("float32")
        low, high = float(v.min()), float(v.max())
        low, high = (0, tops[0]) if (tops := tops_of(opened, low, high)) else (low, high)
        scaled = ((v - low) * (255 / (high - low or 1)) + 0.5).clip(0, 255)
        image = Image.fromarray(np.where(v == image.info.get("transparency"), 255, scaled).astype("uint8"))
    image = in_srgb(image) if "icc_profile" in image.info and image.mode != "LAB" else image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA")).convert("RGB")
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
