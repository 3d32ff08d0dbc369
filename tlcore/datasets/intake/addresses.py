"""Web addresses: what may be asked for, what may be shown of them, and what the file is called."""

import re
from contextlib import suppress
from email.message import Message
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from tlcore.datasets.names import safe_name
from tlcore.errors import DatasetError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HOST = re.compile(r"[\w.-]+|[0-9a-f.]*:[0-9a-f:.]*", re.ASCII | re.I)  # no %: Python's opener would decode it
_SECRET = re.compile(r"sig|token|key|secret|auth|credential|password|session", re.I)


def is_address(source: str) -> bool:
    """Whether this is a web address rather than a path."""
    return _SCHEME.match(source) is not None


def shown(address: str) -> str:
    """The address as it may be stored and shown: without what looks like a key in its query."""
    parts = urlsplit(address)
    query = parse_qsl(parts.query, keep_blank_values=True)
    if any(_SECRET.search(name) for name, _ in query):
        kept = urlencode([(name, "..." if _SECRET.search(name) else value) for name, value in query], safe="/:")
        parts = parts._replace(query=kept)
    return urlunsplit(parts._replace(fragment=""))


def checked_address(address: str) -> str:
    """The address as it can be asked for: spaces and other alphabets in it are encoded.

    Raises: DatasetError unless it is http or https, with a host and without a password.
    """
    try:
        parts = urlsplit(address.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise DatasetError(f"{address!r} is no valid address ({error}): check it") from error
    if parts.scheme.lower() not in {"http", "https"}:
        raise DatasetError(f"an address of {parts.scheme!r} cannot be downloaded: only those of http and https can")
    if parts.username is not None or parts.password is not None:
        raise DatasetError(
            "an address with a name or password in it is not asked for: download the file in your browser, and give "
            "the file"
        )
    try:
        place = (host or "").encode("idna").decode()
    except UnicodeError:
        place = ""
    if not _HOST.fullmatch(place) or re.search(
        r"[\s\x00-\x1f]", address.strip()[: len(parts.scheme) + 3 + len(parts.netloc)]
    ):
        raise DatasetError(f"{address!r} names no host: write it as https://host/path")
    netloc = (f"[{place}]" if ":" in place else place) + (f":{port}" if port is not None else "")
    path, query = quote(parts.path, safe="/%:@!$&'()*+,;=~"), quote(parts.query, safe="/%:@!$&'()*+,;=~?")
    return urlunsplit((parts.scheme.lower(), netloc, path or "/", query, ""))


def file_name(address: str, headers: Message) -> str:
    """What the server calls the file, else the last part of the address, as a name that is safe here."""
    told = headers.get_filename() or ""
    with suppress(UnicodeError):
        told = told.encode("latin-1").decode("utf-8")  # headers are read as Latin-1; servers write UTF-8
    for name in (told, unquote(urlsplit(address).path)):
        last = name.replace("\\", "/").rstrip("/").rpartition("/")[2].strip()
        if last and last not in {".", ".."}:
            return safe_name(last)
    return safe_name(urlsplit(address).hostname or "download")
