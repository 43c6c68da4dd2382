"""The latent space under a finger: in a notebook, in one file that needs no network, and a gallery of it all."""

from chromae.explorer.lab import save_lab
from chromae.explorer.one_file import save_html
from chromae.explorer.widget import color_lab, explore

__all__ = ["color_lab", "explore", "save_html", "save_lab"]
