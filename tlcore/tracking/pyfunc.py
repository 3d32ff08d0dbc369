"""A run's model as an MLflow pyfunc: code and safetensors side by side, no pickle."""

import importlib.metadata
import json
import shutil
import warnings
from pathlib import Path

MODEL_CODE = Path(__file__).with_name("pyfunc_model.py")
_NEEDS = ("mlflow", "torch", "torchvision", "timm", "safetensors", "pillow", "numpy", "pandas")


def save_pyfunc(model_dir: Path, to: Path) -> Path:
    """Wrap the files of `model_dir` (weights.safetensors, model.json, …) as a pyfunc in `to`; returns `to`.

    Raises: OSError, MlflowException.
    """
    from mlflow.pyfunc import save_model

    shutil.rmtree(to, ignore_errors=True)
    facts = json.loads((model_dir / "model.json").read_text())
    needs = (*_NEEDS, "onnxruntime") if facts.get("library") == "onnx" else _NEEDS
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*input example", category=UserWarning)
        save_model(
            str(to),
            python_model=str(MODEL_CODE),
            artifacts={file.name: str(file) for file in sorted(model_dir.iterdir())},
            pip_requirements=[f"{name}=={importlib.metadata.version(name)}" for name in needs],
            signature=_signature(facts["classes"]),
        )
    return to


def _signature(classes: list[str]) -> object:
    """In: one column of whatever name and type (paths, or files as bytes). Out: probabilities, and the likeliest.

    Named columns would make MLflow drop what comes as a plain list.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType

    outputs = [ColSpec(DataType.double, name, required=False) for name in classes]
    return ModelSignature(Schema([ColSpec(AnyType())]), Schema([*outputs, ColSpec(DataType.string, "predicted")]))
