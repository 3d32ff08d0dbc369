"""Datasets from web addresses: whole or not at all, within bounds, and with an error that says what to do."""

import socket
import threading
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import make_image_folder
from tests.web import chunked, redirect, send, slow, web_server
from tlcore.datasets.files import never
from tlcore.datasets.intake import add_dataset, download
from tlcore.datasets.intake.addresses import checked_address, file_name, is_address, shown
from tlcore.datasets.intake.connecting import is_public, opener
from tlcore.datasets.intake.download import Download
from tlcore.errors import ArchiveError, DatasetError, RunCancelledError, StorageError, TlcoreError
from tlcore.settings import Settings

PAGE = b"<!DOCTYPE html><html><body>Please log in" + b" " * 2000 + b"</body></html>"


@pytest.fixture(autouse=True)
def servers_of_this_machine_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("TLCORE_ALLOW_LOCAL_ADDRESSES", "1")


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    source = make_image_folder(tmp_path, ("ants", "bees"), 10)
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as packed:
        for path in sorted(source.rglob("*.png")):
            packed.write(path, path.relative_to(source))
    return (tmp_path / "made.zip").read_bytes()


@pytest.fixture
def routes() -> dict:
    return {}


@pytest.fixture
def web(routes: dict) -> Iterator[str]:
    with web_server(routes) as root:
        yield root


def leftovers(settings: Settings) -> list[str]:
    if not settings.datasets.exists():
        return []
    return sorted(path.name for path in settings.datasets.iterdir() if path.name != ".lock")


def test_an_archive_is_downloaded_and_becomes_a_dataset(web, routes, archive, settings):
    routes["/v1/My Photos.zip"] = routes["/v1/My%20Photos.zip"] = send(archive)
    told = []
    info = add_dataset(f"{web}/v1/My Photos.zip?token=abc&v=1#top", None, settings, lambda *news: told.append(news))
    assert (info.name, info.num_images, info.classes) == ("My Photos", 20, ("ants", "bees"))
    assert info.source == f"{web}/v1/My%20Photos.zip?token=...&v=1"
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    downloading = [share for share, words in told if words.startswith("Downloaded")]
    assert downloading[-1] == pytest.approx(0.4)
    assert any(words.startswith("Unpacked") and 0.4 < share < 0.6 for share, words in told)
    assert any(words.startswith("Checked") and share > 0.6 for share, words in told)
    assert leftovers(settings) == [info.id]


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"Content_Disposition": 'attachment; filename="../../etc/insects.zip"'}, "insects"),
        ({"Content_Disposition": "attachment; filename*=UTF-8''f%C3%A9e%20volante.zip"}, "fée volante"),
        ({"Content_Disposition": "attachment; filename=fée.tar.gz".encode().decode("latin-1")}, "fée"),
        ({"Content_Disposition": "attachment"}, "get"),
    ],
)
def test_the_name_comes_from_the_server_else_from_the_address(web, routes, archive, settings, headers, name):
    routes["/get"] = send(archive, **headers)
    assert add_dataset(f"{web}/get", settings=settings).name == name


def test_redirects_are_followed_and_size_may_be_untold(web, routes, archive, settings):
    routes["/a.zip"] = redirect("/b")
    routes["/b"] = redirect("c")
    routes["/c"] = chunked([archive[:100], archive[100:5000], archive[5000:]])
    told = []
    info = add_dataset(f"{web}/a.zip", settings=settings, progress=lambda *news: told.append(news))
    assert (info.name, info.num_images) == ("a", 20)
    assert any(0 < share < 0.4 for share, words in told if words.startswith("Downloaded"))
    routes["/old"] = send(archive, length=None)
    assert add_dataset(f"{web}/old", settings=settings).num_images == 20


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (send(b"", 404), DatasetError, "the server answers 404 and knows no such file: check the address"),
        (send(b"", 403), DatasetError, "answers 403 and forbids it: if it needs a log-in, download the file in your"),
        (send(b"", 418), DatasetError, "answers 418 and refuses it"),
        (send(b"", 503), DatasetError, "answers 503 and is out of order: try again later"),
        (
            send(PAGE, Content_Type="text/html"),
            ArchiveError,
            "is a web page and not an archive: copy the address of its",
        ),
        (send(PAGE[:100]), ArchiveError, "is a web page and not an archive"),
        (send(b"hello " * 900), ArchiveError, "is no zip or tar .* but text: give the address of an archive"),
        (send(b"\x89PNG\r\n\x1a\n" + b"x" * 900), ArchiveError, "is no zip or tar .* but a file of unknown kind"),
        (send(b""), ArchiveError, "is no zip or tar .* but an empty file"),
        (send(b"PK\x03\x04" + b"x" * 900, length=5000), DatasetError, r"cut off after 904 of 5,000 bytes: try again"),
        (chunked([b"PK\x03\x04" + b"x" * 900], complete=False), DatasetError, "was cut off: try again"),
        (send(b"PK\x03\x04" + b"x" * 900), ArchiveError, r"f\.zip is a zip archive, but damaged or cut off"),
        (redirect("/f.zip"), DatasetError, "leads in a circle, or through more than ten addresses"),
        (redirect("file:///etc/passwd"), DatasetError, "leads to something that is no web address"),
        (redirect("ftp://127.0.0.1/x"), DatasetError, "which is no web address"),
        (lambda handler: handler.wfile.write(b"gibberish\r\n\r\n"), DatasetError, "gave no proper answer"),
        (send(b"", length=60_000_000_000), DatasetError, "has more than 50 GB: choose .* TLCORE_MAX_DATASET_GB"),
    ],
)
def test_what_is_wrong_is_one_clear_line_and_leaves_nothing(web, routes, settings, answer, kind, message):
    routes["/f.zip"] = answer
    with pytest.raises(kind, match=message) as caught:
        add_dataset(f"{web}/f.zip", settings=settings)
    assert "\n" not in str(caught.value)
    assert leftovers(settings) == []


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ftp://example.org/a.zip", "an address of 'ftp' cannot be downloaded: only those of http and https"),
        ("file:///etc/passwd", "an address of 'file' cannot be downloaded"),
        ("http://", "names no host"),
        ("https:///a.zip", "names no host"),
        ("http://[::1/a.zip", "is no valid address"),
        ("http://host:99999999/a.zip", "is no valid address"),
        ("http://ann:secret@host/a.zip", "an address with a name or password in it is not asked for"),
        ("http://ho st/a.zip", "names no host"),
        ("http://127%2E0%2E0%2E1:{closed}/a.zip", "names no host"),
        ("http://127\uff052E0.0.1:{closed}/a.zip", "names no host"),
        ("http://[fe80::1%25eth0]/a.zip", "names no host"),
        ("http://no-such-host.invalid/a.zip", "no-such-host.invalid cannot be found: check the address, and whether"),
        ("http://127.0.0.1:{closed}/a.zip", "127.0.0.1 cannot be reached .*: check the address, and whether"),
    ],
)
def test_addresses_that_lead_nowhere(settings, address, message):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = address.replace("{closed}", str(unused.getsockname()[1]))
    with pytest.raises(DatasetError, match=message) as caught:
        add_dataset(address, settings=settings)
    assert "secret" not in str(caught.value)
    assert leftovers(settings) == []


LOCAL = r"leads into the network of this machine \({0}\): download the file and give the file, or allow such .*{1}=1"


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost is (127.0.0.1|::1)"),
        ("2130706433", "2130706433 is 127.0.0.1"),
        ("10.1.2.3", "10.1.2.3"),
        ("192.168.0.1", "192.168.0.1"),
        ("169.254.169.254", "169.254.169.254"),
        ("0.0.0.0", "0.0.0.0"),
        ("[::1]", "::1"),
        ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1"),
    ],
)
def test_addresses_of_this_network_are_refused_unless_allowed(home, host, place):
    settings = Settings(home=home, allow_local_addresses=False)
    with pytest.raises(DatasetError, match=LOCAL.format(place, "TLCORE_ALLOW_LOCAL_ADDRESSES")):
        add_dataset(f"http://{host}:9/a.zip", settings=settings)
    assert leftovers(settings) == []


@pytest.mark.parametrize("host", ["127%2E0%2E0%2E1", "127.0.0.%31", "%6cocalhost"])
def test_a_redirect_to_an_encoded_host_is_refused(web, routes, settings, host):
    """Python's opener decodes it, so that it would connect to another host than was checked."""
    routes["/a.zip"] = redirect(f"http://{host}:{web.rpartition(':')[2]}/b.zip")
    routes["/b.zip"] = send(b"secret")
    with pytest.raises(DatasetError, match="names no host"):
        add_dataset(f"{web}/a.zip", settings=settings)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_host_that_is_written_oddly_is_connected_to_as_checked(scheme, monkeypatch):
    """Whatever comes past the check of the address: without a proxy, every connection is to a checked address."""
    monkeypatch.setattr(socket, "create_connection", lambda place, *more: pytest.fail(f"connected to {place}"))
    with pytest.raises(DatasetError, match=r"leads into the network of this machine \(127.0.0.1\)"):
        opener(False).open(f"{scheme}://127%2E0%2E0%2E1:9/a.zip", timeout=5)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_every_hop_is_checked_and_the_checked_address_is_the_one_that_is_asked(web, routes, home, monkeypatch, scheme):
    """The first hop is a public address, which this machine plays; a name that resolves anew is not asked again."""
    routes["/a.zip"] = redirect(f"{scheme}://inside.example/secret.zip")
    resolved = {"outside.example": ["93.184.216.34"], "inside.example": ["10.0.0.7"]}
    port, connected = int(web.rpartition(":")[2]), []
    connect = socket.create_connection

    def resolve(host, *more, **options):
        found = resolved[host].pop(0) if len(resolved[host]) > 1 else resolved[host][0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (found, port))]

    def to_the_test(place, *more):
        connected.append(place[0])
        monkeypatch.setattr(socket, "getaddrinfo", real)
        try:
            return connect(("127.0.0.1", port), *more)
        finally:
            monkeypatch.setattr(socket, "getaddrinfo", resolve)

    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", to_the_test)
    settings = Settings(home=home, allow_local_addresses=False)
    with pytest.raises(DatasetError, match=r"secret\.zip leads into .* \(inside.example is 10.0.0.7\)"):
        add_dataset(f"http://outside.example:{port}/a.zip", settings=settings)
    assert connected == ["93.184.216.34"]
    resolved["rebinding.example"] = ["93.184.216.34", "127.0.0.1"]
    routes["/a.zip"] = send(b"", 404)
    with pytest.raises(DatasetError, match="the server answers 404"):
        add_dataset(f"http://rebinding.example:{port}/a.zip", settings=settings)
    assert connected == ["93.184.216.34", "93.184.216.34"]


def test_a_redirect_is_held_to_the_rules_for_addresses(web, routes, settings):
    routes["/a.zip"] = redirect("http://ann:secret@127.0.0.1/b.zip")
    with pytest.raises(DatasetError, match="with a name or password in it is not asked for") as caught:
        add_dataset(f"{web}/a.zip", settings=settings)
    assert "secret" not in str(caught.value)


def test_a_proxy_may_be_near_but_what_it_is_asked_for_may_not(web, routes, archive, home, monkeypatch):
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", web)
    settings = Settings(home=home, allow_local_addresses=False)
    with pytest.raises(DatasetError, match="leads into the network of this machine"):
        add_dataset("http://127.0.0.1/a.zip", settings=settings)
    monkeypatch.setenv("https_proxy", web)
    with pytest.raises(DatasetError, match="leads into the network of this machine"):
        add_dataset("https://127.0.0.1/a.zip", settings=settings)
    with pytest.raises(DatasetError, match=r"no-such-host\.invalid") as caught:  # this proxy makes no tunnels
        add_dataset("https://no-such-host.invalid/a.zip", settings=settings)
    assert "network of this machine" not in str(caught.value)
    routes["http://no-such-host.invalid/a.zip"] = send(archive)
    assert add_dataset("http://no-such-host.invalid/a.zip", settings=settings).num_images == 20


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("64:ff9b::808:808", True), ("2002:808:808::1", True),
        ("172.16.0.1", False), ("100.64.0.1", False), ("224.0.0.1", False), ("240.0.0.1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False), ("fec0::1", False), ("ff02::1", False), ("::", False), ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False), ("::ffff:10.0.0.1", False),
    ],
)  # fmt: skip
def test_which_addresses_are_of_the_internet(address, public):
    assert is_public(address) == public


def test_no_more_is_written_than_the_limit_whatever_the_server_says(web, routes, home):
    settings = Settings(home=home, max_dataset_gb=1e-4)
    routes["/f.zip"] = chunked([b"PK\x03\x04", *[bytes(50_000)] * 40])
    written = []
    with pytest.raises(DatasetError, match=r"has more than 0\.0001 GB"):
        add_dataset(f"{web}/f.zip", settings=settings, progress=lambda share, words: written.append(words))
    assert written[-1] in {"Downloaded 0.1 MB", "Downloaded 0.0 MB"}
    assert leftovers(settings) == []


def test_a_disk_that_is_too_small_is_told_before(web, routes, settings, monkeypatch):
    routes["/f.zip"] = send(b"PK\x03\x04", length=40_000_000_000)
    monkeypatch.setattr("shutil.disk_usage", lambda place: __import__("shutil")._ntuple_diskusage(10, 9, 10**9))
    with pytest.raises(StorageError, match=r"40\.00 GB are needed but .* has 1\.00 GB free"):
        add_dataset(f"{web}/f.zip", settings=settings)
    assert leftovers(settings) == []


def test_a_download_can_be_cancelled_at_every_block(web, routes, settings):
    over = threading.Event()
    routes["/f.zip"] = slow(b"PK\x03\x04" + bytes(100_000), over.wait)
    told = []
    try:
        with pytest.raises(RunCancelledError, match="nothing was kept"):
            add_dataset(
                f"{web}/f.zip",
                settings=settings,
                progress=lambda share, words: told.append(words),
                should_stop=lambda: any(words.startswith("Downloaded") for words in told),
            )
    finally:
        over.set()
    assert leftovers(settings) == []


def test_a_server_that_says_nothing_is_left(web, routes, tmp_path):
    over = threading.Event()
    routes["/f.zip"] = slow(b"PK\x03\x04" + bytes(1000), over.wait)
    ask = Download(10**9, lambda share, words: None, never, stall_seconds=0.5, local=True)
    try:
        with pytest.raises(DatasetError, match=r"said nothing for 0\.5 seconds: try again"):
            download.download(f"{web}/f.zip", tmp_path, ask)
    finally:
        over.set()


def test_memory_does_not_grow_with_the_file(web, routes, tmp_path):
    block = bytes(1_000_000)
    routes["/f.zip"] = chunked([b"PK\x03\x04", *[block] * 60])
    tracemalloc.start()
    try:
        found = download.download(
            f"{web}/f.zip", tmp_path, Download(10**9, lambda share, words: None, never, local=True)
        )
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
    assert found.stat().st_size == 60_000_004


def test_addresses_are_told_from_paths_and_encoded():
    assert is_address("HTTPS://host/a")
    assert not any(map(is_address, ("C:/a.zip", "/a//b", "a.zip", "torchvision:MNIST", "://")))
    assert checked_address(" http://bücher.example:8080/ä b/%C3%A4?q=ö&r=a b#x ") == (
        "http://xn--bcher-kva.example:8080/%C3%A4%20b/%C3%A4?q=%C3%B6&r=a%20b"
    )
    assert checked_address("http://[::1]:80") == "http://[::1]:80/"
    assert shown("https://h/a?X-Amz-Signature=abc&Expires=1#f") == "https://h/a?X-Amz-Signature=...&Expires=1"
    assert shown("https://h/a?download=1") == "https://h/a?download=1"


def test_a_file_without_a_name_is_called_after_the_host():
    from email.message import Message

    assert file_name("https://example.org/", Message()) == "example.org"
    assert file_name("https://example.org/x/..", Message()) == "example.org"
    assert file_name("https://example.org/a%2F..%2Fb.zip", Message()) == "b.zip"


def test_every_refusal_is_an_error_of_ours(web, settings):
    with pytest.raises(TlcoreError, match="404"):
        add_dataset(f"{web}/nothing", settings=settings)
