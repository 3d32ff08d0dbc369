"""Connections to web addresses that lead to the internet and nowhere into this machine's own network, hop by hop.

Where a proxy connects instead, only what this machine knows of the name can be checked.
"""

import functools
import http.client
import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import IO, Any
from urllib.parse import urlsplit
from urllib.request import (
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    build_opener,
)

from tlcore.datasets.intake.addresses import checked_address, shown
from tlcore.errors import DatasetError

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_Connect = Callable[..., socket.socket]


def opener(local: bool) -> OpenerDirector:
    """What opens http and https addresses, and follows ten redirects at most.

    local: whether addresses of this machine and its network may be asked; else they raise DatasetError, whether they
    are written, redirected to, or what a name stands for.
    """
    return build_opener(ProxyHandler(), _Http(local), _Https(local), _WebOnly())


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the internet: not to this machine, its network or a multicast group."""
    found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        if found.is_site_local:
            return False
        inside = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            inside = IPv4Address(int(found) & 0xFFFFFFFF)
        found = inside or found
    return found.is_global and not found.is_multicast and not found.is_reserved


class _WebOnly(HTTPRedirectHandler):
    """Follows redirects to addresses that could have been given in the first place."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> Request | None:
        if urlsplit(newurl).scheme.lower() not in {"http", "https"}:
            raise DatasetError(f"{shown(req.full_url)} leads to {shown(newurl)!r}, which is no web address")
        return super().redirect_request(req, fp, code, msg, headers, checked_address(newurl))


class _Http(HTTPHandler):
    """Plain connections, to checked addresses."""

    def __init__(self, local: bool) -> None:
        super().__init__()
        self._local = local

    def http_open(self, req: Request) -> http.client.HTTPResponse:
        return self.do_open(_maker(http.client.HTTPConnection, req, self._local), req)


class _Https(HTTPSHandler):
    """Encrypted connections, to checked addresses; certificates are those of the names."""

    def __init__(self, local: bool) -> None:
        super().__init__()
        self._local = local

    def https_open(self, req: Request) -> http.client.HTTPResponse:
        return self.do_open(_maker(http.client.HTTPSConnection, req, self._local), req)


def _maker(kind: type[http.client.HTTPConnection], req: Request, local: bool) -> Any:
    """What makes the connection for a request, which then connects to no other address than was checked."""

    def make(host: str, **options: Any) -> http.client.HTTPConnection:
        made = kind(host, **options)
        if not local and _goes_through_proxy(req):
            _check_name(req)
        elif not local:
            connect: _Connect = functools.partial(_connect, req)
            setattr(made, "_create_connection", connect)  # noqa: B010 - http.client's own seam, which typing hides
        return made

    return make


def _goes_through_proxy(req: Request) -> bool:
    """As the opener has set it: the whole address is asked of a proxy, or a tunnel of it is (https)."""
    return req.has_proxy() or bool(getattr(req, "_tunnel_host", None))


def _check_name(req: Request) -> None:
    """The proxy finds the address: what can be told here is told. Raises: DatasetError."""
    parts = urlsplit(req.full_url)
    try:
        _addresses(req, parts.hostname or "", parts.port or 0)
    except socket.gaierror:
        return  # names that only the proxy knows


def _connect(req: Request, place: tuple[str, int], timeout: Any = None, source_address: Any = None) -> socket.socket:
    """Connect as `socket.create_connection` does. Raises: DatasetError for an address that is not public, OSError."""
    failed: OSError | None = None
    for address in _addresses(req, *place):
        try:
            return socket.create_connection((address, place[1]), timeout, source_address)
        except OSError as error:
            failed = error
    raise failed or OSError(f"{place[0]} has no address")


def _addresses(req: Request, host: str, port: int) -> list[str]:
    """The IP addresses of a host. Raises: DatasetError where one of them is not public, OSError."""
    found = [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for address in found:
        if not is_public(address):
            where = address if address == host else f"{host} is {address}"
            raise DatasetError(
                f"{shown(req.full_url)} leads into the network of this machine ({where}): download the file and give "
                "the file, or allow such addresses with the environment's TLCORE_ALLOW_LOCAL_ADDRESSES=1"
            )
    return list(dict.fromkeys(found))
