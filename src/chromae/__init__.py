"""Chromae: a small lab for colour and representation learning. Start with notebooks/01_color_autoencoder.ipynb.

Every function of the package checks its arguments when it is called: their types and shapes are those of its
signature. CHROMAE_CHECK=off leaves that out; `training.fit` checks its first step and leaves the others alone.
"""

import importlib
import pkgutil
import sys
from types import ModuleType

from chromae.arguments import check

__version__ = "0.2.0"

sys.meta_path.insert(0, check.Finder(__name__))  # checks what is imported from here on
for _name in (__name__, "chromae.arguments", "chromae.arguments.check", "chromae.arguments.sentences"):
    check.keep_source(sys.modules[_name])

_ROOMS = [found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_")]


def __getattr__(name: str) -> ModuleType:
    """The rooms, each imported when it is first asked for: `import chromae`, then `chromae.losses.mse`."""
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS})
