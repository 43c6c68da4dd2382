"""What is said while a notebook runs: one line, renewed each second, on a terminal; elsewhere a line now and then."""

import contextlib
import io
import os
import shutil
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator

from chromae.arguments.kinds import Positive, Size

LOG_EVERY = 30.0  # seconds between two lines in a log: an hour is 120 lines


def duration(seconds: Size) -> str:
    """Minutes and seconds, or hours, minutes and seconds: "1:20", "1:00:05"."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def roughly(seconds: Size) -> str:
    """A forecast, in words: "under a minute", "about 24 minutes", "about 2.5 hours"."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "under a minute"
    if minutes < 100:
        return f"about {minutes} minute{'s' if minutes > 1 else ''}"
    return f"about {seconds / 3600:.1f} hours"


@contextlib.contextmanager
def told(text: Callable[[], str]) -> Iterator[None]:
    """A block during which standard output shows what `text` gives, ever anew.

    A terminal shows one line, cut at its edge, which is gone after the block. What is no terminal, such as a log, gets
    a line every half minute, and so does a terminal that several jobs of `make` write to.
    """
    out = sys.stdout
    alone = _renews(out)

    def show() -> None:
        out.write(f"\r{_cut(text(), shutil.get_terminal_size().columns - 1)}\x1b[K" if alone else f"{text()}\n")
        out.flush()

    try:
        with every(1.0 if alone else LOG_EVERY, show):
            yield
    finally:
        if alone:
            out.write("\r\x1b[K")
            out.flush()


@contextlib.contextmanager
def every(seconds: Positive, do: Callable[[], object]) -> Iterator[None]:
    """A block during which a thread of its own calls `do` every so many seconds."""
    done = threading.Event()

    def repeat() -> None:
        while not done.wait(seconds):
            do()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _renews(out: io.TextIOBase) -> bool:
    """Whether this is a terminal that knows to go back in a line, and nobody else writes to: no other job of `make`."""
    others = "--jobserver" in os.environ.get("MAKEFLAGS", "")
    return out.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not others


def _cut(text: str, columns: int) -> str:
    """As much of a line as fits: letters of some scripts, and pictures, take two columns."""
    widths = [2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text]
    if sum(widths) <= columns:
        return text
    while sum(widths) > max(0, columns - 1):
        widths.pop()
    return f"{text[: len(widths)]}…"
