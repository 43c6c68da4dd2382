"""A headless Chromium for tests: the machine's own, for a download of a browser is more than a test should need."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NAMES = (
    "chromium-headless-shell",  # it shows no windows, and takes half the time of one that could
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge",
)  # fmt: skip
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")


def executable() -> str:
    """Where Chromium or Chrome is. Skips the test where there is none, and fails it under CI=true."""
    found = next(filter(None, map(shutil.which, NAMES)), str(MAC) if MAC.exists() else None)
    if found is None:
        reason = f"no browser: none of {', '.join(NAMES)} is on the path"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return found


@contextmanager
def chromium() -> Iterator["Browser"]:
    """A browser for as long as a module's tests need it."""
    path = executable()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


class Watched:
    """A page that notes whatever its console calls an error, and what it asks for besides itself."""

    def __init__(self, browser: "Browser", width: int = 1280, height: int = 900, **options: object):
        self.context = browser.new_context(viewport={"width": width, "height": height}, **options)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.requested: list[str] = []
        self.address = ""
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)
        self.page.on("request", lambda request: self.requested.append(request.url))

    def open(self, path: Path, fragment: str = "") -> "Page":
        """The page of a file on disk."""
        self.address = path.resolve().as_uri()
        self.page.goto(self.address + fragment)
        return self.page

    @property
    def requests(self) -> list[str]:
        """What was asked for, so far, that does not lie in the page."""
        return [url for url in self.requested if not url.startswith((self.address, "data:", "blob:"))]

    def close(self) -> None:
        self.context.close()
