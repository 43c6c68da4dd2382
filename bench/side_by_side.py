"""Both sides of a pair in turns, in one process, on one machine: what is measured is their ratio."""

import math
import os
import statistics
import threading
import time
from collections.abc import Callable

from scipy.stats import binom

from chromae.running import cells

# "ours" or "theirs": `compare` then runs this side alone, and raises how much memory it takes.
alone: str | None = None


class Peak(Exception):
    """What a side takes at most, in MB: not the ratio that was asked for."""


class Skipped(Exception):
    """Why a pair cannot be measured here."""


def agree(measured: dict[str, float], within: float) -> None:
    """Raises AssertionError unless both sides learnt the same: a ratio of times alone would hide that."""
    if not math.isclose(*measured.values(), rel_tol=within):
        raise AssertionError(f"the two loops do not learn the same: {measured}, expected equal within {within:.0%}")


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def peak_mb(function: Callable[[], object], at_least: float = 1.0) -> float:
    """MB that this process and those it starts hold at most beyond what they hold now; called for a second or more."""
    before = held = cells._memory(os.getpid())
    done = threading.Event()

    def watch() -> None:
        nonlocal held
        while not done.wait(0.01):
            held = max(held, cells._memory(os.getpid()))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        start = time.perf_counter()
        while True:
            function()
            if time.perf_counter() - start >= at_least:
                return held - before
    finally:
        done.set()
        watching.join()


def compare(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int, *, ours_count: int = 1, cost: bool = False
) -> dict:
    """Run both in turns, first once each to warm up; the ratio of every round's times, its median and its range.

    "bound" is how bad the median may be with 95 % confidence, by the binomial of how many rounds lie beyond it (for
    fewer than five rounds, their worst). `ours_count` says how many of their units of work one call of ours does. The
    seconds of both, for one of these units, are medians too.
    """
    if alone is not None:
        raise Peak(peak_mb({"ours": ours, "theirs": theirs}[alone]))
    ours(), theirs()
    ratios, taken = [], {ours: [], theirs: []}
    for turn in range(rounds):
        first, second = (ours, theirs) if turn % 2 else (theirs, ours)
        times = {first: seconds(first), second: seconds(second)}
        for side, one in times.items():
            taken[side].append(one)
        ratio = times[theirs] * ours_count / times[ours]
        ratios.append(1 / ratio if cost else ratio)
    worst_last = sorted(ratios, reverse=not cost)
    bound = worst_last[min(int(binom.ppf(0.95, rounds, 0.5)), rounds - 1)]
    return {
        "ratio": statistics.median(ratios), "low": min(ratios), "high": max(ratios), "bound": bound, "n": rounds,
        "seconds_ours": statistics.median(taken[ours]) / ours_count, "seconds_theirs": statistics.median(taken[theirs]),
    }  # fmt: skip
