"""The data card: where the images come from, under which licence, and notes, as a person typed them."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from tlcore.datasets.staging import datasets_lock, storage_errors
from tlcore.datasets.store import dataset_folder
from tlcore.errors import DatasetError
from tlcore.results import Value
from tlcore.settings import Settings, get_settings

CARD_FILE = "card.json"
MAX_CHARACTERS = 20_000  # per field; a card is read whole each time
MAX_NAME = 200  # characters of a dataset's name in a zip


class DataCard(Value):
    """Free text in each field; empty where nothing was typed."""

    source: str = ""
    licence: str = ""
    notes: str = ""


class PackedCard(Value):
    """What a zip says of its dataset. transfer_lab_card: of this form; no other program's `card.json` has the key."""

    transfer_lab_card: Literal[1] = 1
    name: str = Field(default="", max_length=MAX_NAME)
    source: str = Field(default="", max_length=MAX_CHARACTERS)
    licence: str = Field(default="", max_length=MAX_CHARACTERS)
    notes: str = Field(default="", max_length=MAX_CHARACTERS)


def packed_card(name: str, card: DataCard) -> str:
    """The card of a dataset of this name as JSON, to be read by whoever imports its zip."""
    return PackedCard(name=name[:MAX_NAME], **card.model_dump()).model_dump_json(indent=1)


def read_card(dataset_id: str, settings: Settings | None = None) -> DataCard:
    """The card of a version, empty if none was written. Raises: NotFoundError, DatasetError for a damaged one."""
    path = dataset_folder(dataset_id, settings or get_settings()) / CARD_FILE
    try:
        return DataCard.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return DataCard()
    except (ValidationError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} is damaged: remove it and type the card again") from error


def write_card(dataset_id: str, card: DataCard, settings: Settings | None = None) -> DataCard:
    """Replace the card of a version, whole or not at all; returns it as it was stored.

    Raises: NotFoundError, DatasetError for a field beyond `MAX_CHARACTERS`, StorageError.
    """
    return change_card(dataset_id, card.model_dump(), settings)


def change_card(dataset_id: str, fields: Mapping[str, str], settings: Settings | None = None) -> DataCard:
    """Replace these fields of the card; what others change at the same time stays. Returns the card as it was stored.

    Raises: as `write_card`; DatasetError for a damaged card of which fields would stay.
    """
    settings = settings or get_settings()
    with _changing(settings):
        whole = fields.keys() >= DataCard.model_fields.keys()
        there = DataCard() if whole else read_card(dataset_id, settings)
        clean = _clean(there.model_copy(update=dict(fields)))
        put_card(dataset_folder(dataset_id, settings), clean)
    return clean


def fill_card(dataset_id: str, card: DataCard, settings: Settings) -> bool:
    """Write the card of a version that has an empty one; whether the version has this card then.

    Raises: NotFoundError, StorageError.
    """
    with _changing(settings):
        try:
            there = read_card(dataset_id, settings)
        except DatasetError:  # a damaged one may be mended by hand
            return False
        if there == DataCard():
            put_card(dataset_folder(dataset_id, settings), card)
            return True
        return there == card


@contextmanager
def _changing(settings: Settings) -> Iterator[None]:
    """No other change and no deletion comes between. Raises: StorageError."""
    if not settings.datasets.is_dir():  # a lock needs a folder to lie in
        yield
        return
    with storage_errors(settings.datasets), datasets_lock(settings.datasets):
        yield


def put_card(folder: Path, card: DataCard) -> None:
    """Write a card into the folder of a version. Raises: OSError."""
    draft = folder / f".{CARD_FILE}.{uuid.uuid4().hex[:8]}"
    try:
        draft.write_text(card.model_dump_json(indent=1), encoding="utf-8")
        draft.replace(folder / CARD_FILE)
    finally:
        draft.unlink(missing_ok=True)


def _clean(card: DataCard) -> DataCard:
    """Valid text, as arguments of a command line need not be. Raises: DatasetError."""
    fields = {name: value.encode("utf-8", "replace").decode().strip() for name, value in card.model_dump().items()}
    for name, value in fields.items():
        if len(value) > MAX_CHARACTERS:
            raise DatasetError(
                f"the {name} on a data card has {len(value):,} characters: shorten it to {MAX_CHARACTERS:,}, and link "
                "to the rest"
            )
    return DataCard.model_validate(fields)
