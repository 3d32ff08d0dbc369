"""A dashboard of the test's own, and a real browser that notes every complaint."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright

ROOT = Path(__file__).parents[2]
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
# Streamlit's frontend looks for its server below the page's own path first, and the browser reports the miss.
PROBES = ("/_stcore/health", "/_stcore/host-config")
START_SECONDS = 60


@dataclass
class Complaints:
    """What the browser did not like, from all pages of a test.

    leaves_early: the test leaves views while their pictures still load. Streamlit frees those of a view that is left at
    once, so that a slow browser asks for some in vain; nobody sees it.
    """

    seen: list[str] = field(default_factory=list)
    leaves_early: bool = False

    def console(self, message: ConsoleMessage) -> None:
        late = self.leaves_early and "/media/" in f"{message.text} {message.location.get('url', '')}"
        if message.type == "error" and not late and not message.location.get("url", "").endswith(PROBES):
            self.seen.append(f"console: {message.text} ({message.location.get('url')})")

    def error(self, error: object) -> None:
        self.seen.append(f"page error: {error}")

    def response(self, response: Response) -> None:
        late = self.leaves_early and "/media/" in response.url
        if response.status >= 400 and not late and not response.url.endswith(PROBES):
            self.seen.append(f"{response.status}: {response.url}")

    def request(self, request: Request) -> None:
        if request.url.startswith("http") and not request.url.startswith("http://127.0.0.1:"):
            self.seen.append(f"outside: {request.url}")

    def watch(self, page: Page) -> Page:
        page.on("console", self.console)
        page.on("pageerror", self.error)
        page.on("response", self.response)
        page.on("request", self.request)
        return page


def chromium() -> str | None:
    """Debian's browser, else Playwright's own where it is installed."""
    return shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture
def browser() -> Iterator[Browser]:
    """A headless browser; skips where there is none."""
    with sync_playwright() as player:
        path = chromium()
        if path is None and not Path(player.chromium.executable_path).exists():
            pytest.skip("no browser: install Debian's chromium, or run `playwright install chromium`")
        with player.chromium.launch(executable_path=path, args=list(FLAGS)) as launched:
            yield launched


@pytest.fixture
def dashboard(home: Path) -> Iterator[str]:
    """`streamlit run app.py` on a free port with the test's own home; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "TLCORE_HOME": str(home), "TLCORE_WORKER_IDLE_SECONDS": "20"}
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        "app.py",
        "--server.port",
        str(port),
        "--server.headless",
        "true",
    ]
    home.mkdir(parents=True, exist_ok=True)
    with (home / "dashboard.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            _wait(f"http://127.0.0.1:{port}/_stcore/health", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)
            shutil.rmtree(home / "jobs", ignore_errors=True)  # a home that is gone ends its supervisor and workers


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=2)
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"the dashboard did not start (exit code {process.poll()}): see dashboard.log in the test's home")
