"""Kinds of numbers and words that signatures ask for: `chromae.checked` refuses one out of their range."""

import math
from typing import Annotated

from beartype.vale import Is


def _of_1_or_more(number: float) -> bool:
    return number >= 1


def _of_0_or_more(number: float) -> bool:
    return number >= 0


def _of_64_bits(number: int) -> bool:
    return -(2**63) <= number < 2**63


def _that_is_finite(number: float) -> bool:
    return math.isfinite(number)


def _above_0(number: float) -> bool:
    return 0 < number < math.inf


def _from_0_up(number: float) -> bool:
    return 0 <= number < math.inf


def _from_0_to_1(number: float) -> bool:
    return 0 <= number <= 1


def _of_a_device(name: str) -> bool:
    import torch  # here, for it takes seconds, and films need none

    try:
        torch.device(name)
    except RuntimeError:
        return False
    return True


Count = Annotated[int, Is[_of_1_or_more]]
Natural = Annotated[int, Is[_of_0_or_more]]
Seed = Annotated[int, Is[_of_64_bits]]
Finite = Annotated[float, Is[_that_is_finite]]
Positive = Annotated[float, Is[_above_0]]
Size = Annotated[float, Is[_from_0_up]]
Part = Annotated[float, Is[_from_0_to_1]]
Device = Annotated[str, Is[_of_a_device]]
