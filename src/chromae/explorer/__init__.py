"""The latent space under a finger: in a notebook, in one file that needs no network, and a gallery of it all."""

from chromae.explorer.one_file import save_html

__all__ = ["save_html"]
