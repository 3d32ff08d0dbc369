"""What the command line and the Models page say of models to choose from."""

from tlcore.service.catalogue import CatalogueEntry


def why_none(text: str, usable: bool) -> str:
    """What to say where `select` found nothing. usable: only models whose weights are here were asked for."""
    asked = f" that matches {text!r}" if text else ""
    if usable:
        return (
            f"no model{asked} has its weights on this machine: leave out the condition that they are here, as weights "
            f"are downloaded when a run needs them, or give a file as --weights file:PATH"
        )
    return (
        f"no model{asked} meets the conditions: ask for a shorter part of its name, such as resnet, or set fewer "
        f"conditions"
    )


def tags_in_words(entry: CatalogueEntry) -> str:
    """The tag that `imagenet` stands for, and how many others there are."""
    more = len(entry.weight_tags) - 1
    return "none" if entry.default is None else entry.default.tag + (f" + {more} more" if more else "")


def plain_in_words(entry: CatalogueEntry) -> str:
    """Whether the default weights come from a plain recipe."""
    if entry.default is None:
        return "–"
    return {True: "yes", False: "no", None: "unknown"}[entry.default.plain]
