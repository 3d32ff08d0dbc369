"""Networks of timm, torchvision and ONNX as one kind of thing: built, changed, frozen, run."""
