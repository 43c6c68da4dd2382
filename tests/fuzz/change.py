"""What may be wrong with an argument, and what came of a call: an answer, a refusal that names it, or a fault."""

import contextlib
import inspect
import re
import signal
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from fuzz.good import BOUND, Mine, Other, good, public
from torch import Tensor

import chromae

PACKAGE = str(Path(chromae.__file__).parent)
NAMES = {name for name, _ in public()}
SECONDS = 60  # after which a call hangs


class Hangs(BaseException):
    pass


WRONG: dict[str, Callable[[], object]] = {
    "None": lambda: None,
    "a word": lambda: "nonsense",
    "a list": lambda: [1, "b"],
    "an empty list": list,
    "an object": object,
    "True": lambda: True,
    "a dictionary": lambda: {"a": 1},
    "bytes": lambda: b"ab",
    "a complex number": lambda: 1j,
    "a function": lambda: lambda *arguments, **named: None,
    "a function of nothing": lambda: lambda: 1,
    "a module": Other,
    "a tensor": lambda: torch.full((3,), 0.5),
    "an array": lambda: np.full((2, 3), 0.5),
    "-1": lambda: -1,
    "0": lambda: 0,
    "1": lambda: 1,
    "0.5": lambda: 0.5,
}
NUMBERS: dict[str, Callable] = {
    "-1": lambda it: -1,
    "0": lambda it: 0,
    "1": lambda it: 1,
    "2": lambda it: 2,
    "7": lambda it: 7,
    "33": lambda it: 33,
    "-0.5": lambda it: -0.5,
    "0.5": lambda it: 0.5,
    "1.5": lambda it: 1.5,
    "nan": lambda it: float("nan"),
    "inf": lambda it: float("inf"),
    "-inf": lambda it: -float("inf"),
    "1e30": lambda it: 1e30,
    "NumPy's": lambda it: np.float32(it) if isinstance(it, float) else np.int64(it),
}
HUGE: dict[str, Callable] = {"2**70": lambda it: 2**70, "-2**70": lambda it: -(2**70)}
ARRAYS: dict[str, Callable] = {
    "one axis more": lambda it: it[None],
    "an axis at the end": lambda it: it[..., None],
    "one axis less": lambda it: it[0] if it.ndim and len(it) else it,
    "no axis": lambda it: it.ravel()[0] if it.numel() else it.sum(),
    "empty": lambda it: it[:0] if it.ndim else it,
    "one": lambda it: it[:1] if it.ndim else it,
    "two": lambda it: it[:2] if it.ndim else it,
    "another length": lambda it: it[:-1] if it.ndim else it,
    "twice": lambda it: torch.cat([it, it]) if it.ndim else it,
    "shorter at the end": lambda it: it[..., :-1] if it.ndim else it,
    "empty at the end": lambda it: it[..., :0] if it.ndim else it,
    "longer at the end": lambda it: torch.cat([it, it[..., :1]], -1) if it.ndim else it,
    "narrower": lambda it: it[:, :-1] if it.ndim > 1 else it,
    "int": lambda it: it.long(),
    "bool": lambda it: it > 0.5,
    "uint8": lambda it: it.clamp(0, 255).to(torch.uint8),
    "bfloat16": lambda it: it.bfloat16(),
    "float64": lambda it: it.double(),
    "complex": lambda it: it.to(torch.complex64),
    "negative": lambda it: -1 - it.long() if it.dtype == torch.bool else -1 - it,
    "large": lambda it: 3 * it + 1,
    "huge": lambda it: 10_000 * it if not it.is_floating_point() else 1e30 * it,
    "zeros": torch.zeros_like,
    "equal": torch.ones_like,
    "nan": lambda it: it / 0 * 0,
    "inf": lambda it: it / 0,
    "not contiguous": lambda it: it.transpose(0, -1).contiguous().transpose(0, -1) if it.ndim > 1 else it,
    "a list": lambda it: it.tolist(),
    "the other kind": lambda it: it.detach().numpy(),
    "elsewhere": lambda it: it.to("meta"),
}


def changes(value: object, name: str = "") -> dict[str, Callable[[object], object]]:
    """What may become of a good argument, by what is done to it."""
    wrong = {key: (lambda it, make=make: make()) for key, make in WRONG.items()}
    if isinstance(value, Tensor):
        return ARRAYS | wrong
    if isinstance(value, np.ndarray):
        return {key: _as_array(change) for key, change in ARRAYS.items()} | wrong
    if isinstance(value, bool):
        return wrong
    if isinstance(value, int | float):
        seeds = HUGE if name in ("seed", "index", "k", "number", "page") else {}
        return wrong | NUMBERS | seeds
    if hasattr(value, "_fields"):
        inner = {
            f"{field}: {key}": (
                lambda it, field=field, change=change: it._replace(**{field: change(getattr(it, field))})
            )
            for field in value._fields
            for key, change in changes(getattr(value, field)).items()
        }
        return wrong | inner
    if isinstance(value, tuple | list) and value:
        inner = {
            f"first: {key}": (lambda it, change=change: type(it)([change(it[0]), *it[1:]]))
            for key, change in changes(value[0]).items()
        }
        return wrong | inner | {"fewer": lambda it: it[:-1], "more": lambda it: it + it[:1], "none": lambda it: it[:0]}
    if isinstance(value, dict) and value and isinstance(next(iter(value.values())), Tensor | np.ndarray | int | float):
        key = next(iter(value))
        inner = {
            f"one: {what}": (lambda it, change=change: it | {key: change(it[key])})
            for what, change in changes(value[key]).items()
        }
        return wrong | inner | {"empty": lambda it: {}}
    return wrong


def _as_array(change: Callable) -> Callable:
    def changed(it: np.ndarray) -> object:
        made = change(torch.from_numpy(it))
        if isinstance(made, Tensor) and made.dtype != torch.bfloat16 and made.device.type == "cpu":
            return made.resolve_conj().numpy()
        return torch.from_numpy(it) if isinstance(made, np.ndarray) else made

    return changed


def call(name: str, function: Callable, arguments: dict) -> object:
    """The answer, to its end: what is a block is entered and left, what comes bit by bit is taken."""
    owner = name.rpartition(".")[0]
    if inspect.isfunction(function) and next(iter(inspect.signature(function).parameters), "") == "self":
        bound = (BOUND.get(name) or BOUND[owner])()
        function = getattr(bound, function.__name__)
    several, named = [], {}
    for key, value in arguments.items():
        kind = inspect.signature(function).parameters[key].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            several = value if isinstance(value, tuple) else (value,)
        elif kind is inspect.Parameter.VAR_KEYWORD:
            named |= value if isinstance(value, dict) else {key: value}
        else:
            named[key] = value
    if several:
        before = [named.pop(key) for key in list(inspect.signature(function).parameters) if key in named][:1]
        named = {key: value for key, value in arguments.items() if key in ("shared",)}
        answer = function(*before, *several, **named)
    else:
        answer = function(**named)
    if isinstance(answer, contextlib.AbstractContextManager) and not isinstance(answer, Path):
        with answer as inside:
            if isinstance(inside, Path):
                inside.write_text("x")
            return inside
    return list(answer) if inspect.isgenerator(answer) else answer


def outcome(name: str, function: Callable, tmp: Path, change: dict[str, Callable]) -> tuple[str, str]:
    """("answer" | "refused" | "passed on" | "fault", why) of a call of which these arguments are changed."""
    arguments = good(name, function, tmp)
    arguments |= {key: make(arguments[key]) for key, make in change.items()}
    torch.manual_seed(0)
    with warnings.catch_warnings(record=True) as warned, _alarm():
        warnings.simplefilter("always")
        try:
            answer = call(name, function, arguments)
        except Mine as error:
            return "passed on", str(error)
        except Hangs:
            return "fault", f"hangs for {SECONDS} seconds"
        except Exception as error:
            return _judged(name, error, change, arguments)
    if ours := [it for it in warned if it.filename.startswith(PACKAGE)]:
        return "fault", f"warns: {ours[0].message}"
    files = any(isinstance(it, str | Path) for it in arguments.values())  # which hold what was written
    if not files and all(map(_tame, arguments.values(), arguments)) and not _finite(answer):
        return "fault", "is not finite, for arguments that are"
    return "answer", ""


@contextlib.contextmanager
def _alarm():
    def hang(*_):
        raise Hangs

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _judged(name: str, error: Exception, change: dict, arguments: dict) -> tuple[str, str]:
    """A sentence of ours that names what was changed, or a fault."""
    frames = traceback.extract_tb(error.__traceback__)
    said = str(error.args[-1] if isinstance(error, KeyError) and error.args else error)
    named = [key for key in arguments if re.search(rf"\b{key}\b", said)]
    named += [
        key for key, it in arguments.items() if isinstance(it, str | Path) and len(str(it)) > 3 and str(it) in said
    ]
    named += [key for key in change for field in getattr(arguments[key], "_fields", ()) if f".{field} " in said]
    words = [it for key in change if isinstance(arguments[key], list | tuple) for it in arguments[key]]
    named += [it for it in words if isinstance(it, str) and repr(it) in said]
    ours = frames[-1].filename.startswith(PACKAGE) and "raise " in (frames[-1].line or "")
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
    if frames[-1].filename in (good.__code__.co_filename, __file__):
        return "passed on", said  # of a function or model that is the caller's own
    if "\n" in said:
        return "fault", f"{type(error).__name__} of several lines at {where}: {said[:200]!r}"
    if isinstance(error, OSError) and error.filename is not None:
        return "refused", said
    inner = re.match(r"([\w.]+): (\w+)", said)  # a public function that this one asked, and its argument
    if ours and (named or (inner and inner[1] in NAMES)):
        return "refused", said
    return "fault", f"{type(error).__name__} {'names none' if ours else 'from inside'} at {where}: {said[:160]}"


UNIT = ("rgb", "luma", "images", "picture", "mean")  # what is documented to lie in [0, 1]


def _tame(value: object, name: str = "") -> bool:
    """Whether there are numbers, finite and small ones, and those of pictures not below 0."""
    if isinstance(value, Tensor):
        if value.device.type == "meta" or value.is_complex() or value.numel() == 0:
            return False
        return bool((value.double().abs() <= 255).all()) and not (name in UNIT and value.min() < 0)
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf" and value.size > 0 and bool((np.abs(value.astype(float)) <= 255).all())
    if isinstance(value, int | float | np.generic):
        return abs(value) <= 255
    if isinstance(value, dict):
        return all(map(_tame, value.values()))
    if isinstance(value, tuple | list):
        return len(value) > 0 and all(map(_tame, value))
    return True


def _finite(value: object) -> bool:
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(value.isfinite().all())
    if isinstance(value, np.ndarray):
        return value.dtype.kind != "f" or bool(np.isfinite(value).all())
    if isinstance(value, float):
        return value == value
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, tuple | list):
        return all(map(_finite, value))
    return True
