"""The four cells of the demo, as data: similar or different to what the backbone knows, with few or many images.

SOURCE_GLYPHS taught the backbone (`tlcore.demo.pretrain`); TARGET_GLYPHS it has never seen, nor their families.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tlcore.demo import glyphs, textures
from tlcore.strategies import CORE

MODEL = "test_resnet"  # timm's smallest residual network: 373,000 parameters, 96 features
IMAGE_SIZE = glyphs.SIZE
WEIGHTS_PATH = Path(__file__).resolve().parent / "backbone.safetensors"
SOURCE_GLYPHS = range(100)
TARGET_GLYPHS = range(100, 110)
TEST_PER_CLASS = 50
THREADS = 1  # the network is too small to gain from more, and the numbers then do not depend on the machine's cores
_TRAIN_SEED, _TEST_SEED = 2, 3  # pretraining draws with seed 1


@dataclass(frozen=True)
class Cell:
    """One demo. train_per_class: pictures in the train folder, of which a fifth becomes validation.

    epochs: the budget of every strategy alike.
    """

    id: str
    title: str
    description: str
    target: Literal["glyphs", "textures"]
    train_per_class: int
    epochs: int
    seeds: tuple[int, ...] = (0, 1, 2)


_SIMILAR = "the pretrained backbone knows a hundred other letters of it"
_DIFFERENT = "the pretrained backbone knows letters only, in any colour"
_LETTERS = "Ten unseen letters of an invented alphabet"
_SWATCHES = "Ten woven swatches, told apart by pattern and dye"
_FEW, _MANY = "10 training pictures of each", "100 training pictures of each"
_ENTRIES = (
    Cell("similar-small", "Demo: few unseen letters", f"{_LETTERS}, {_FEW}; {_SIMILAR}", "glyphs", 13, 30),
    Cell("similar-large", "Demo: many unseen letters", f"{_LETTERS}, {_MANY}; {_SIMILAR}", "glyphs", 125, 20),
    Cell("different-small", "Demo: few swatches", f"{_SWATCHES}, {_FEW}; {_DIFFERENT}", "textures", 13, 30),
    Cell("different-large", "Demo: many swatches", f"{_SWATCHES}, {_MANY}; {_DIFFERENT}", "textures", 125, 20),
)
CELLS: dict[str, Cell] = {cell.id: cell for cell in _ENTRIES}
DEFAULT_CELL = "similar-small"


def make_dataset_folder(cell: Cell, folder: Path) -> None:
    """Draw the cell's pictures into `folder/{train,test}/<class>/`: the same bytes each time."""
    for part, per_class, seed in (("train", cell.train_per_class, _TRAIN_SEED), ("test", TEST_PER_CLASS, _TEST_SEED)):
        if cell.target == "glyphs":
            glyphs.write_set(folder / part, TARGET_GLYPHS, per_class, seed)
        else:
            textures.write_set(folder / part, per_class, seed)


def demo_spec_arguments(cell: Cell) -> dict[str, Any]:
    """What `compare` is called with, besides the dataset: every strategy with its own recipe, nothing overridden."""
    return {
        "models": (MODEL,),
        "weights": (f"file:{WEIGHTS_PATH}",),
        "strategies": CORE,
        "seeds": cell.seeds,
        "epochs": cell.epochs,
        "image_size": IMAGE_SIZE,
        "num_threads": THREADS,
        "title": cell.title,
    }
