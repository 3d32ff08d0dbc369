"""The code of a logged model, copied into its MLflow folder: needs torch, torchvision and timm, not Transfer Lab.

    model = mlflow.pyfunc.load_model("runs:/RUN_ID/model")
    model.predict(pandas.DataFrame({"path": ["photo.jpg"]}))
    model.predict(pandas.DataFrame({"image": [open("photo.jpg", "rb").read()]}))
    model.predict(["photo.jpg", "other.jpg"])

In: a table with a column `path` (files) or `image` (the bytes of files), or a list of paths or of bytes. Out: a table
with one row per image: a column of probability per class (all missing for a linear SVM, which has none), and
`predicted`, the likeliest class. Computed in float32, on CUDA where there is one.
"""

import io
import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

BATCH = 32


class ImageClassifier(PythonModel):  # type: ignore[misc]
    """Loads the network once, then classifies images."""

    def load_context(self, context: Any) -> None:
        import torch
        from safetensors.torch import load_file

        files = {name: Path(path) for name, path in context.artifacts.items()}
        self.about = json.loads(files["model.json"].read_text(encoding="utf-8"))
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if self.about["library"] == "onnx":
            network = build_onnx(self.about, files["network.py"], files["backbone.onnx"])
        else:
            network = build(self.about, files.get("network.py"))
        network.load_state_dict(load_file(files["weights.safetensors"]))
        self.network = network.eval().to(self.device)
        self.known = None
        if "knn.safetensors" in files:
            self.known = {k: v.to(self.device) for k, v in load_file(files["knn.safetensors"]).items()}
        self.prepare = preparation(self.about["preprocessing"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        import torch

        sources = list_sources(model_input)
        classes, scores = self.about["classes"], []
        with torch.inference_mode():
            for first in range(0, len(sources), BATCH):
                images = [self.prepare(open_rgb(source)) for source in sources[first : first + BATCH]]
                scores.append(self.score(torch.stack(images).to(self.device)).cpu())
        table = torch.cat(scores).double().numpy() if scores else np.zeros((0, len(classes)))
        predicted = np.array(classes, dtype=object)[table.argmax(axis=1)]
        if not self.about["probabilities"]:
            table = np.full_like(table, np.nan)
        return pd.DataFrame(table, columns=classes).assign(predicted=predicted)

    def score(self, images: Any) -> Any:
        """[N,3,H,W] to [N,K]: probabilities, shares of neighbours, or a linear SVM's decision values."""
        import torch

        if self.known is None:
            logits = self.network(images).float()
            return logits.softmax(1) if self.about["probabilities"] else logits
        seen: list[Any] = []
        head = self.network.get_submodule(self.about["head_name"])
        hook = head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        self.network(images)
        hook.remove()
        similarity = torch.nn.functional.normalize(seen[0].float(), dim=1) @ self.known["features"].T.float()
        near = self.known["labels"][similarity.topk(self.about["neighbors"], dim=1).indices]
        votes = torch.nn.functional.one_hot(near, self.about["num_classes"])
        return votes.float().mean(1)


def build(about: dict[str, Any], changes: Path | None) -> Any:
    """The empty network that model.json describes. changes: network.py, where it differs from the library's own."""
    import torch

    arguments = {"num_classes": about["num_classes"], **about["build_arguments"]}
    if about["library"] == "timm":
        import timm

        model = timm.create_model(about["architecture"], **arguments)
    else:
        import torchvision

        model = torchvision.models.get_model(about["architecture"], **arguments)
    if about["head_surgery"]:
        statement = about["head_surgery"].format(num_classes=about["num_classes"])
        exec(statement, {"model": model, "torch": torch})  # one assignment, written by Transfer Lab as this file was
    if changes is not None:
        runpy.run_path(str(changes))["rewire"](model, about["rewiring"], about["num_classes"])
    return model


def build_onnx(about: dict[str, Any], code: Path, file: Path) -> Any:
    """The network around an ONNX file, with an empty head."""
    return runpy.run_path(str(code))["build"](about["rewiring"], file, about["num_classes"])


def preparation(shape: dict[str, Any]) -> Any:
    """The model's own evaluation transform: an RGB picture to [3,S,S] float32."""
    import torch
    from torchvision.transforms import v2

    size = shape["size"]
    resize = shape["resize"] or [size, size]
    return v2.Compose(
        [
            v2.Resize(resize, v2.InterpolationMode(shape["interpolation"])),
            v2.CenterCrop(size),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(shape["mean"], shape["std"]),
        ]
    )


def list_sources(given: pd.DataFrame) -> list[Any]:
    """Paths or bytes, from the table into which MLflow turns every input."""
    named = [name for name in ("path", "image") if name in given]
    if not named and len(given.columns) != 1:
        raise ValueError(f"no column `path` or `image`, only {list(given.columns)}")
    return list(given[named[0]] if named else given.iloc[:, 0])


def open_rgb(source: Any) -> Any:
    """A picture, upright, RGB, with transparency on white, as in the predict.py that lies beside the weights.

    Deep greyscale is scaled to 0…255, see `scale_deep`.
    """
    from PIL import Image, ImageOps

    opened = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
    image = ImageOps.exif_transpose(opened)
    if image.mode[0] in "IF":
        image = Image.fromarray(scale_deep(np.asarray(image), image.info.get("transparency"), white_said(opened)))
    elif "icc_profile" in image.info and image.mode != "LAB":
        image = in_srgb(image)
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def in_srgb(image: Any) -> Any:
    """Colours as the file's ICC profile means them, where it can be read, is of the picture's kind and not sRGB's."""
    from PIL import Image, ImageChops, ImageCms

    grey, clear, steps = image.mode in ("L", "LA", "La"), image.has_transparency_data, range(0, 256, 51)
    mode = "L" if grey else "RGBA" if clear else "RGB" if image.mode == "P" else image.mode
    colours = bytes(value for r in steps for g in steps for b in steps for value in (r, g, b))
    spaces = {"RGB": "RGB", "RGBA": "RGB", "L": "GRAY", "CMYK": "CMYK"}
    try:
        own, srgb = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"])), ImageCms.createProfile("sRGB")
        if own.profile.xcolor_space.strip() != spaces.get(mode):
            return image
        change = ImageCms.buildTransform(own, srgb, mode, mode if mode == "RGBA" else "RGB")
        sample = Image.frombytes("RGB", (36, 6), colours).convert(mode)
        moved = ImageChops.difference(change.apply(sample).convert("RGB"), sample.convert("RGB")).getextrema()
        if max(high for _, high in moved) <= 2:
            return image
        pixels = image.convert("LA") if grey else image.convert(mode)
        changed = change.apply(pixels.getchannel("L") if grey else pixels)
        if grey and clear:
            changed.putalpha(pixels.getchannel("A"))
        return changed
    except (OSError, ImageCms.PyCMSError):
        return image


def white_said(image: Any) -> list[int]:
    """White of a depth from 8 to 16 bits, where a TIFF names one (MaxSampleValue, odd BitsPerSample)."""
    tags = getattr(image, "tag_v2", {})
    words = [*np.ravel(tags.get(281, 0)), *(2**bits - 1 for bits in np.ravel(tags.get(258, 16)) if bits < 16)]
    return [int(word) for word in words if word in [2**bits - 1 for bits in range(8, 17)]]


def scale_deep(given: Any, transparent: Any, said: list[int]) -> Any:
    """Greyscale of any depth H×W -> uint8 H×W.

    Whole numbers: white is what the file says, else 255, 4095 or 65535. Fractions: 0…1 or 0…255, clipped where they
    overshoot. All else from its minimum to its maximum.
    """
    values = given.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if given.dtype.kind != "f":
        tops = [top for top in (*said, 255, 4095, 65535) if low >= 0 and high <= top]
    else:
        over = [top for top in (1, 255) if -top / 2 <= low and high <= top * 1.5 and high >= (top > 1) * top / 2]
        tops = sorted([*over, *(top for top in (1, 255) if low >= 0 and high <= top)])
    low, high = (0, tops[0]) if tops else (low, high)
    scaled = ((values - low) * (255 / (high - low or 1)) + 0.5).clip(0, 255)
    return np.where(values == transparent, 255, scaled).astype(np.uint8)


set_model(ImageClassifier())
