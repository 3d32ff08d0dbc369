"""What a person would write instead: ImageFolder, DataLoader, timm. Arguments: PHOTOS WEIGHTS EPOCHS OUT DEVICE."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

NORMALIZE = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
AUGMENT = [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip()]
DEVICE = sys.argv[5]
CENTER = [transforms.Resize(256), transforms.CenterCrop(224)]


def loader(folder: Path, steps: list[Callable], shuffle: bool = False) -> DataLoader:
    data = ImageFolder(str(folder), transforms.Compose([*steps, transforms.ToTensor(), NORMALIZE]))
    return DataLoader(data, batch_size=32, shuffle=shuffle, num_workers=2)


def build(weights: Path | None) -> nn.Module:
    model = timm.create_model("mobilenetv2_100")
    if weights is not None:
        model.load_state_dict(load_file(weights))
    model.reset_classifier(2)
    return model.to(DEVICE)


@torch.no_grad()
def extract(model: nn.Module, batches: DataLoader) -> tuple[Tensor, Tensor]:
    model.eval()
    found = [(model.forward_head(model.forward_features(x.to(DEVICE)), pre_logits=True).cpu(), y) for x, y in batches]
    return torch.cat([x for x, _ in found]), torch.cat([y for _, y in found])


def fit_features(photos: Path, weights: Path) -> float:
    model = build(weights)
    x, y = extract(model, loader(photos / "train", CENTER))
    classifier = LogisticRegression(max_iter=1000).fit(x.numpy(), y.numpy())
    x, y = extract(model, loader(photos / "val", CENTER))
    return float(classifier.score(x.numpy(), y.numpy()))


@torch.no_grad()
def accuracy(model: nn.Module, batches: DataLoader) -> float:
    model.eval()
    right = sum(int((model(x.to(DEVICE)).argmax(1).cpu() == y).sum()) for x, y in batches)
    return right / len(batches.dataset)


def train(model: nn.Module, photos: Path, epochs: int, rate: float) -> float:
    """Accuracy on val after the last epoch; it is computed after each, as tutorials do."""
    batches, val = loader(photos / "train", AUGMENT, shuffle=True), loader(photos / "val", CENTER)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate)
    reached = 0.0
    for _ in range(epochs):
        model.train()
        for x, y in batches:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x.to(DEVICE)), y.to(DEVICE)).backward()
            optimizer.step()
        reached = accuracy(model, val)
    return reached


def frozen(weights: Path) -> nn.Module:
    model = build(weights).requires_grad_(False)
    model.get_classifier().requires_grad_(True)
    return model


def main() -> None:
    photos, weights, epochs, out = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    torch.manual_seed(0)
    found = {
        "feature_extraction": fit_features(photos, weights),
        "transfer_learning": train(frozen(weights), photos, epochs, 1e-3),
        "fine_tuning": train(build(weights), photos, epochs, 1e-4),
        "from_scratch": train(build(None), photos, epochs, 1e-3),
    }
    out.write_text(json.dumps({"runs": [{"strategy": k, "test": {"accuracy": v}} for k, v in found.items()]}))


if __name__ == "__main__":
    main()
