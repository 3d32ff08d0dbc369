"""The part of the Launch form that chooses models and their weights."""

from pathlib import Path

import streamlit as st

from pages.shared import reads
from tlcore.service import catalogue, models
from tlcore.service.catalogue import CatalogueEntry

WEIGHTS_HELP = (
    "Where the pretrained weights come from. You may also type:\n"
    "- `file:PATH` – a file on the server (safetensors or a PyTorch state dict)\n"
    "- `run:RUN_ID` – the best weights of an earlier run\n"
    "- `none` – for training from scratch only"
)


def choose_models() -> list[str]:
    """Models, those that can be used now first."""
    files = models.weight_files()
    entries = sorted(reads.catalogue(), key=lambda entry: not catalogue.is_here(entry, files))
    labels = {entry.model: _model_label(entry, catalogue.is_here(entry, files)) for entry in entries}
    return st.multiselect(
        "Models",
        list(labels),
        default=list(labels)[:1],
        format_func=labels.__getitem__,
        key="models",
        persist_state="session",
        help="Networks of timm and torchvision. Those whose weights are on this machine come first.",
    )


def choose_weights(chosen: list[str]) -> list[str]:
    """One `MODEL=SOURCE` for each model."""
    known = {entry.model: entry for entry in reads.catalogue()}
    files = models.weight_files()
    if not chosen:
        return []
    made = reads.source_runs()
    with st.grid(2, min_column_width=300):
        return [f"{name}={_weights_of(known[name], files, made)}" for name in chosen]


def _weights_of(entry: CatalogueEntry, files: list[Path], made: dict[str, tuple[str, str]]) -> str:
    """The source of one model's weights. made: model and name of each run that made a backbone here, by source."""
    words = {"imagenet": f"ImageNet weights · {'on this machine' if entry.usable_now else 'need a download'}"}
    words |= {f"file:{file}": f"file {file.name} · on this machine" for file in files}
    words |= {source: f"made here: {name}" for source, (model, name) in made.items() if model == entry.model}
    words |= {tag: f"tag {tag}" for tag in entry.weight_tags}
    words |= {"none": "none · from scratch only"}
    fitting = [] if entry.usable_now else catalogue.fitting(entry, files)
    first = f"file:{fitting[0]}" if fitting else "imagenet"
    chosen = st.selectbox(
        f"Weights of {entry.model}",
        list(words),
        index=list(words).index(first),
        format_func=lambda source: words.get(source, source),
        accept_new_options=True,
        key=f"weights_{entry.model}",
        help=WEIGHTS_HELP,
    )
    return chosen or "imagenet"


def _model_label(entry: CatalogueEntry, here: bool) -> str:
    words = "ImageNet weights on this machine" if here else "ImageNet weights need a download"
    return f"{entry.model} · {words}" + (f" · {entry.note}" if entry.note else "")
