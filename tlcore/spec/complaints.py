"""What pydantic finds wrong with a spec, in one clear line."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tlcore.errors import SpecError

S = TypeVar("S", bound=BaseModel)


def checked(kind: type[S], **values: Any) -> S:
    """Build a spec, with pydantic's complaints turned into one clear line. Raises: SpecError."""
    try:
        return kind(**values)
    except ValidationError as error:
        told = [e for e in reversed(error.errors()) if e["type"] != "default_factory_not_called"]  # no mistake itself
        wrong = {str(e["loc"][0]) if e["loc"] else "": e for e in told}  # the first of each field
        raise SpecError("; ".join(_one_line(e) for e in reversed(wrong.values()))) from error


# What pydantic's complaints are called here; its own words serve for the others.
_WORDS = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "too_short": "needs at least one value",
    "extra_forbidden": "is no setting of a comparison",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "literal_error": "must be {expected}",
}


def in_words(error: Any) -> str | None:
    """What a complaint says of its value: `must be at most 100`; None where pydantic says it best."""
    words = _WORDS.get(error["type"])
    return None if words is None else words.format(**error.get("ctx", {}))


def _one_line(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "value_error":
        return message
    names = [part for part in error["loc"] if isinstance(part, str) and part.isidentifier()]  # no member of a union
    return f"{names[-1]}: {error['input']!r} {in_words(error) or message[0].lower() + message[1:]}"
