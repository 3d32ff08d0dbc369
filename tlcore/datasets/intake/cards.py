"""The card that a packed dataset brings along: nobody's word is trusted, and no import fails for it."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tlcore.datasets.files import Listing
from tlcore.datasets.intake.nested import shared_depth
from tlcore.datasets.names import readable
from tlcore.datasets.versions.card import CARD_FILE, DataCard, PackedCard
from tlcore.errors import DatasetError

NO_CARD = DataCard()
MAX_BYTES = 1_000_000  # three full fields, with every character escaped, take 360,000


@dataclass(frozen=True)
class Brought:
    """What was found of a card. name: `""` where it says none. notes: for people, why a card was not taken."""

    card: DataCard = NO_CARD
    name: str = ""
    notes: tuple[str, ...] = ()


NOTHING = Brought()


def take_card(listing: Listing) -> tuple[Brought, Listing]:
    """The card at the top, and the listing without its file; any other program's `card.json` stays in the listing."""
    top = shared_depth([below[:-1] for below in listing.images | listing.others])
    place = next((b for b in listing.others if len(b) == top + 1 and b[-1] == CARD_FILE), None)
    if place is None:
        return NOTHING, listing
    try:
        found = _read(listing.others[place])
    except DatasetError as problem:
        return Brought(notes=(f"{'/'.join(place)} was not taken: {problem}.",)), listing
    if found is None:
        return NOTHING, listing
    card = DataCard(source=_lines(found.source), licence=_lines(found.licence), notes=_lines(found.notes))
    others = {below: file for below, file in listing.others.items() if below != place}
    return Brought(card, readable(found.name).strip()), Listing(listing.images, others, listing.left_out)


def _read(file: Path) -> PackedCard | None:
    """None for a file that is no card of ours. Raises: DatasetError for one that cannot be used."""
    found = _json(file)
    if not isinstance(found, dict) or "transfer_lab_card" not in found:
        return None
    try:
        return PackedCard.model_validate(found, strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise DatasetError(f"its {first['loc'][0]}: {first['msg']}") from error


def _json(file: Path) -> Any:
    """What a small JSON file says; None where it is none. Raises: OSError."""
    with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
        data = opened.read(MAX_BYTES + 1)
    try:
        return json.loads(data.decode()) if len(data) <= MAX_BYTES else None
    except (ValueError, RecursionError):
        return None


def _lines(text: str) -> str:
    """The text without characters that could steer a terminal, but with its lines."""
    return "\n".join(readable(line) for line in text.splitlines()).strip()
