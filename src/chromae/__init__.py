"""Chromae: a small lab for colour and representation learning. Start with notebooks/01_color_autoencoder.ipynb.

Every function of the package checks its arguments when it is called: their types and shapes are those of its
signature. CHROMAE_CHECK=off leaves that out; `training.fit` checks its first step and leaves the others alone.
"""

import sys

from chromae.arguments import check

__version__ = "0.1.0"

sys.meta_path.insert(0, check.Finder(__name__))  # checks what is imported from here on
for _name in (__name__, "chromae.arguments", "chromae.arguments.check", "chromae.arguments.sentences"):
    check.keep_source(sys.modules[_name])
