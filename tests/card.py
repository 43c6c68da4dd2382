"""A stand-in for a graphics card: tensors that have a device, a shape and a type but no numbers.

What asks for their numbers gets some at random, and is noted; what mixes devices fails, as on a card.
"""

import ast
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from chromae.arguments import precision

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
COUNTING = {"nonzero", "masked_select", "bincount", "_unique2", "unique_dim", "linalg_inv_ex", "_local_scalar_dense"}
NOT_ON_APPLES = {"_pdist_forward", "special_ndtri"}
SIZES_UNKNOWN = {  # what is as large as its numbers say: some size
    "bincount": lambda x, weights=None, minlength=0: x.new_zeros(max(minlength, 3)),
    "linalg_lstsq": lambda a, b, **_: (a.new_zeros(a.shape[1], b.shape[1]), *(a.new_zeros(0) for _ in range(3))),
    "repeat_interleave": lambda repeats, **_: repeats.new_zeros(9),
    "nonzero": lambda x: x.new_zeros(max(1, x.numel() // 2), x.ndim, dtype=torch.long),
    "unique_dim": lambda x, *_: (x[:4], *(x.new_zeros(n, dtype=torch.long) for n in (len(x), 4))),
}


class Card(TorchDispatchMode):
    """A card of type "cuda" or "mps". `waits` lists what the host waited for: numbers asked for, numbers brought."""

    def __init__(self, kind: str):
        super().__init__()
        self.device, self.waits = torch.device(kind, 0), []

    def __torch_dispatch__(self, operation, types, arguments=(), named=None):
        name = operation.overloadpacket.__name__
        tensors = [it for it in (*arguments, *(named or {}).values()) if isinstance(it, Tensor)]
        here = any(self.holds(tensor) for tensor in tensors)
        if here and name in COUNTING:
            self.waits.append(name)
        assert not (here and name == "linalg_lstsq"), "on a card least squares take no inputs that depend on each other"
        made = SIZES_UNKNOWN.get(name, operation)(*arguments, **(named or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if not isinstance(tensor, Tensor):
                continue
            if self.device.type == "mps" and self.holds(tensor):
                assert tensor.dtype != torch.float64, f"{name} makes float64, which mps has not"
                assert name not in NOT_ON_APPLES, f"{name} is not on mps"
            if name in ("eq", "le", "lt") and (len(tensors) == 2 or arguments[1] < 0.01):
                tensor.untrue = True  # numbers at random are neither equal nor tiny
            if name in ("_to_copy", "copy_") and any(self.holds(part) != self.holds(tensor) for part in tensors):
                self.waits.append(f"{name} between CPU and card")
        return made

    def holds(self, tensor: Tensor) -> bool:
        return tensor.device.type == self.device.type

    def asked(self, tensor: Tensor, how: str) -> np.ndarray:
        """Numbers of a tensor that lies anywhere."""
        if self.holds(tensor):
            self.waits.append(how)
        random = np.random.default_rng(0)
        if tensor.dtype == torch.bool:
            return np.full(tensor.shape, not getattr(tensor, "untrue", False))
        if not tensor.dtype.is_floating_point:
            return random.integers(0, 3, tensor.shape)
        return random.random(tensor.shape, np.float64 if tensor.dtype == torch.float64 else np.float32)

    def array(self, tensor: Tensor) -> np.ndarray:
        if self.holds(tensor):
            raise TypeError(f"can't convert {tensor.device} device type tensor to numpy")
        if tensor.dtype == torch.bfloat16:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.asked(tensor, "numpy")

    def chosen(self, tensor: Tensor, index: object) -> Tensor:
        """Half of the rows, for a mask."""
        parts = index if isinstance(index, tuple) else (index,)
        for part in parts:
            if isinstance(part, Tensor) and self.holds(part) and not self.holds(tensor):
                raise RuntimeError("indices should be on the same device as the indexed tensor or on the CPU")
        if not any(isinstance(part, Tensor) and part.dtype == torch.bool for part in parts):
            return Tensor.__getitem__(tensor, index)
        self.waits.append("a mask")
        halves = [slice(len(p) // 2) if isinstance(p, Tensor) and p.dtype == torch.bool else p for p in parts]
        return Tensor.__getitem__(tensor, tuple(halves))


class Generator(torch.Generator):
    """The CPU's, said to be a card's: good enough for numbers that there are none of."""

    device = torch.device("cuda", 0)


@contextlib.contextmanager
def put_in(kind: str = "cuda") -> Iterator[Card]:
    """A machine with a card, inside the block."""
    card = Card(kind)
    number = {
        name: lambda self, name=name, cast=cast: cast(card.asked(self, name).item())
        for name, cast in {
            "item": lambda value: value, "__bool__": bool, "__int__": int, "__index__": int, "__float__": float,
        }.items()
    }  # fmt: skip
    methods = number | {
        "tolist": lambda self: card.asked(self, "tolist").tolist(),
        "numpy": lambda self, **_: card.array(self),
        "__array__": lambda self, *_, **__: card.array(self),
        "__getitem__": lambda self, index: card.chosen(self, index),
    }
    made_of = torch.tensor  # which takes tensors for lists if their numbers are not there

    def numbers(data):
        if isinstance(data, list | tuple):
            return [numbers(part) for part in data]
        return data.item() if isinstance(data, Tensor) else data

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(torch, "tensor", lambda data, **named: made_of(numbers(data), **named)))
        stack.enter_context(mock.patch.dict(precision._made, clear=True))
        for name, method in methods.items():
            stack.enter_context(mock.patch.object(FakeTensor, name, method, create=True))
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        yield stack.enter_context(card)


def helpers(number: str, *names: str, **known: object) -> dict[str, object]:
    """Functions and classes of a notebook, by name, in a world of its imports and of what is `known`."""
    (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    tree = ast.parse("\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"))
    world: dict[str, object] = {}
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom) and "IPython" not in ast.unparse(node):
            exec(ast.unparse(node), world)
    world |= known
    found = [node for node in tree.body if getattr(node, "name", None) in names]
    assert {node.name for node in found} == set(names), f"notebook {number} has no {set(names)}"
    for node in found:
        exec(compile(ast.Module([node], []), str(path), "exec"), world)
    return world
