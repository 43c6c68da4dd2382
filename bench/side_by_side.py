"""Both sides of a pair in turns, in one process, on one machine: what is measured is their ratio."""

import math
import statistics
import time
from collections.abc import Callable

from scipy.stats import binom


def agree(measured: dict[str, float], within: float) -> None:
    """Raises AssertionError unless both sides learnt the same: a ratio of times alone would hide that."""
    if not math.isclose(*measured.values(), rel_tol=within):
        raise AssertionError(f"the two loops do not learn the same: {measured}, expected equal within {within:.0%}")


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int, *, ours_count: int = 1, cost: bool = False
) -> dict:
    """Run both in turns, first once each to warm up; the ratio of every round's times, its median and its range.

    "bound" is how bad the median may be with 95 % confidence, by the binomial of how many rounds lie beyond it (for
    fewer than five rounds, their worst). `ours_count` says how many of their units of work one call of ours does.
    """
    ours(), theirs()
    ratios = []
    for turn in range(rounds):
        first, second = (ours, theirs) if turn % 2 else (theirs, ours)
        times = {first: seconds(first), second: seconds(second)}
        ratio = times[theirs] * ours_count / times[ours]
        ratios.append(1 / ratio if cost else ratio)
    worst_last = sorted(ratios, reverse=not cost)
    bound = worst_last[min(int(binom.ppf(0.95, rounds, 0.5)), rounds - 1)]
    return {"ratio": statistics.median(ratios), "low": min(ratios), "high": max(ratios), "bound": bound, "n": rounds}
