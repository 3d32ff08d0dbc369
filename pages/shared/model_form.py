"""The part of the Launch form that chooses models, their weights and the strategies."""

from pathlib import Path

import streamlit as st

from pages.shared import look, reads
from pages.shared.words import listed, plain
from tlcore.analysis import charts
from tlcore.analysis.charts import LETTERS, MEANINGS
from tlcore.service import models
from tlcore.strategies import STRATEGIES, Strategy

WEIGHTS_HELP = (
    "Where the pretrained weights come from. You may also type:\n"
    "- `file:PATH` – a file on the server (safetensors or a PyTorch state dict)\n"
    "- `run:RUN_ID` – the best weights of an earlier run\n"
    "- `none` – for training from scratch only"
)


def choose_models() -> list[str]:
    """Models, those that can be used now first."""
    files = models.weight_files()
    entries = sorted(reads.catalogue(), key=lambda entry: not _is_here(entry, files))
    labels = {entry.model: _model_label(entry, _is_here(entry, files)) for entry in entries}
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
    with st.grid(2, min_column_width=300):
        return [f"{name}={_weights_of(known[name], files)}" for name in chosen]


def choose_strategies() -> list[str]:
    """A card for each strategy, with what trains when drawn from its entry."""
    st.caption(
        "Blocks from the input to the answer: " + ", ".join(f"**{LETTERS[k]}** {m}" for k, m in MEANINGS.items())
    )
    chosen = []
    with st.grid(3, min_column_width=300):
        for entry in STRATEGIES.values():
            with st.container(border=True, gap="xsmall", height="stretch"):
                if st.checkbox(f"**{entry.label}**", value=True, key=f"strategy_{entry.id}", persist_state="session"):
                    chosen.append(entry.id)
                _describe(entry)
    return chosen


def _describe(entry: Strategy) -> None:
    st.image(charts.strategy_strip(entry, dark=look.is_dark()), alt=f"What trains when: {entry.description}")
    also = f" *Also called: {plain(listed(list(entry.also_called)))}.*" if entry.also_called else ""
    st.caption(plain(entry.description) + also)


def _weights_of(entry: models.CatalogueEntry, files: list[Path]) -> str:
    words = {"imagenet": f"ImageNet weights · {'on this machine' if entry.usable_now else 'need a download'}"}
    words |= {f"file:{file}": f"file {file.name} · on this machine" for file in files}
    words |= {tag: f"tag {tag}" for tag in entry.weight_tags}
    words |= {"none": "none · from scratch only"}
    fitting = [] if entry.usable_now else _fitting(entry, files)
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


def _fitting(entry: models.CatalogueEntry, files: list[Path]) -> list[Path]:
    """Files named after the model, such as `resnet18.timm.safetensors`; whether they do fit is checked later."""
    return [file for file in files if file.name.split(".")[0] == entry.model.removeprefix("torchvision:")]


def _is_here(entry: models.CatalogueEntry, files: list[Path]) -> bool:
    return entry.usable_now or bool(_fitting(entry, files))


def _model_label(entry: models.CatalogueEntry, here: bool) -> str:
    words = "weights on this machine" if here else "weights need a download"
    return f"{entry.model} · {words}" + (f" · {entry.note}" if entry.note else "")
