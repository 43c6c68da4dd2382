"""Learning rates over a run: a schedule gives the factor for every progress in [0, 1)."""

import math

from chromae.arguments.kinds import Part, Size


def cosine(progress: Part) -> float:
    """Learning-rate factor: half a cosine from 1 to 0 (https://arxiv.org/abs/1608.03983, eq. 5, no restart)."""
    return (1 + math.cos(math.pi * progress)) / 2


def one_cycle(progress: Part, warmup: Part = 0.3, start: Size = 0.04, end: Size = 1e-4) -> float:
    """Learning-rate factor: cosine up from `start` to 1, then down to `end` (https://arxiv.org/abs/1708.07120)."""
    if progress < warmup or warmup == 1:
        return start + (1 - start) * cosine(1 - progress / warmup)
    return end + (1 - end) * cosine((progress - warmup) / (1 - warmup))
