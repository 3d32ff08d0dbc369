"""Files from web addresses: streamed to the disk within bounds, and kept only when they are whole."""

import http.client
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request

from tlcore.datasets.content import HEAD_BYTES, describe, is_text
from tlcore.datasets.files import Progress, Stop, check_stop
from tlcore.datasets.intake.addresses import checked_address, file_name, shown
from tlcore.datasets.intake.connecting import opener
from tlcore.datasets.staging import check_space
from tlcore.errors import ArchiveError, DatasetError
from tlcore.settings import VERSION

STALL_SECONDS = 30.0  # without a byte
_CHUNK = 256 * 1024
_UNKNOWN = 200e6  # bytes at which a download of untold size shows as half done
_WORDS = {
    400: "does not understand the request: check the address",
    401: "asks for a log-in: download the file in your browser and give the file",
    403: "forbids it: if it needs a log-in, download the file in your browser and give the file",
    404: "knows no such file: check the address",
    407: "is behind a proxy that asks for a log-in: download the file in your browser and give the file",
    410: "has removed the file: look for another address",
    429: "is asked too often: try again later",
}


@dataclass(frozen=True)
class Download:
    """What one download may take, and who hears of it. accepts: whether the first 512 bytes are of what is wanted.

    local: whether it may come from this machine's own network.
    """

    max_bytes: int
    tell: Progress
    should_stop: Stop
    accepts: Callable[[bytes], bool] = bool
    stall_seconds: float = STALL_SECONDS
    local: bool = False


def download(address: str, folder: Path, ask: Download) -> Path:
    """Bring a file into a folder, under the name that the server or the address gives it; returns its path.

    Memory stays flat, and progress follows Content-Length. What is not whole is an error; the file is then not removed
    here. Raises: DatasetError for whatever the network or the server does, RunCancelledError, StorageError, OSError of
    the disk.
    """
    address = checked_address(address)
    ask.tell(0.0, f"Asking {urlsplit(address).hostname}")
    with _answer(address, ask) as response:
        target = folder / file_name(address, response.headers)
        with target.open("xb") as file:
            _receive(address, response, file, ask)
    return target


def fetch(address: str, file: IO[bytes], ask: Download) -> None:
    """Bring what is at an address into an open file. Raises: as `download`."""
    address = checked_address(address)
    with _answer(address, ask) as response:
        _receive(address, response, file, ask)


def _receive(address: str, response: Any, file: IO[bytes], ask: Download) -> None:
    """Write all that a response brings. Raises: as `download`."""
    length = _length(response)
    _check_size(address, length or 0, ask.max_bytes)
    check_space(Path(file.name).parent, length or 0)
    done, head = 0, b""
    for chunk in _chunks(address, response, ask):
        if len(head) < HEAD_BYTES:
            head = (head + chunk)[:HEAD_BYTES]
            if len(head) == HEAD_BYTES:
                _check_kind(address, head, response.headers, ask)
        done += file.write(chunk)
        _check_size(address, done, ask.max_bytes)
        ask.tell(_share(done, length), _so_far(done, length))
    if length is not None and done < length:
        raise DatasetError(
            f"the download of {shown(address)} was cut off after {done:,} of {length:,} bytes: try again"
        )
    _check_kind(address, head, response.headers, ask)


@contextmanager
def network_errors(address: str, seconds: float) -> Iterator[None]:
    """Turn what urllib raises into a DatasetError that says what is wrong and what to do."""
    where = urlsplit(address).hostname or address
    try:
        yield
    except HTTPError as error:
        with closing(error):
            raise DatasetError(_refusal(address, error)) from error
    except URLError as error:
        raise DatasetError(_unreachable(where, error.reason, seconds)) from error
    except (http.client.HTTPException, ValueError) as error:
        problem = " ".join(str(error).split())[:100] or type(error).__name__
        raise DatasetError(f"{where} gave no proper answer ({problem}): check the address, or try later") from error
    except OSError as error:
        raise DatasetError(_unreachable(where, error, seconds)) from error


def _answer(address: str, ask: Download) -> Any:
    request = Request(address, headers={"User-Agent": f"transfer-lab/{VERSION}", "Accept": "*/*"})
    with network_errors(address, ask.stall_seconds):
        return closing(opener(ask.local).open(request, timeout=ask.stall_seconds))


def _chunks(address: str, response: Any, ask: Download) -> Iterator[bytes]:
    """What has come by now, again and again: a slow server does not hold up a cancel."""
    while True:
        check_stop(ask.should_stop)
        with network_errors(address, ask.stall_seconds):
            try:
                chunk = response.read1(_CHUNK)
            except (ConnectionError, http.client.IncompleteRead) as error:
                raise DatasetError(f"the download of {shown(address)} was cut off: try again") from error
        if not chunk:
            return
        yield chunk


def _length(response: Any) -> int | None:
    """Content-Length in bytes; None where the server does not tell it."""
    told = response.headers.get("Content-Length") or ""
    return int(told) if told.isascii() and told.isdigit() and not response.headers.get("Transfer-Encoding") else None


def _check_size(address: str, num_bytes: int, max_bytes: int) -> None:
    if num_bytes > max_bytes:
        raise DatasetError(
            f"{shown(address)} has more than {max_bytes / 1e9:g} GB: choose a smaller file, or raise the limit with "
            "the environment's TLCORE_MAX_DATASET_GB"
        )


def _check_kind(address: str, head: bytes, headers: Message, ask: Download) -> None:
    """Raises: ArchiveError for what is not wanted, before all of it is downloaded."""
    if ask.accepts(head):
        return
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:15].lower()
    is_page = headers.get_content_type() == "text/html" and is_text(head)
    if is_page or start.startswith((b"<!doctype html", b"<html")):
        raise ArchiveError(
            f"{shown(address)} is a web page and not an archive: copy the address of its download link, or download "
            "the file in your browser and give the file"
        )
    raise ArchiveError(
        f"{shown(address)} is no zip or tar (.gz, .bz2, .xz) but {describe(head)}: give the address of an archive"
    )


def _share(done: int, length: int | None) -> float:
    """0…1; where the length is not told, ever slower towards 1."""
    return min(1.0, done / max(1, length)) if length is not None else done / (done + _UNKNOWN)


def _so_far(done: int, length: int | None) -> str:
    return f"Downloaded {done / 1e6:,.1f}" + (f" of {length / 1e6:,.1f} MB" if length is not None else " MB")


def _refusal(address: str, error: HTTPError) -> str:
    if "infinite loop" in str(error.reason):
        return f"{shown(address)} leads in a circle, or through more than ten addresses: check it in your browser"
    if "is not allowed" in str(error.reason):
        return f"{shown(address)} leads to something that is no web address: check it in your browser"
    words = _WORDS.get(error.code) or ("is out of order: try again later" if error.code >= 500 else "refuses it")
    return f"{shown(address)} cannot be downloaded: the server answers {error.code} and {words}"


def _unreachable(host: str, reason: object, seconds: float) -> str:
    if isinstance(reason, socket.gaierror):
        return f"{host} cannot be found: check the address, and whether this machine has a network"
    if isinstance(reason, TimeoutError):
        return f"{host} said nothing for {seconds:g} seconds: try again, or download the file in your browser"
    if isinstance(reason, ssl.SSLError):
        return f"{host} cannot be trusted ({reason.reason or reason}): check the address, or download in your browser"
    words = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return f"{host} cannot be reached ({words}): check the address, and whether this machine has a network"
