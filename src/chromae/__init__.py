"""Chromae: a small lab for colour and representation learning. Start with notebooks/01_color_autoencoder.ipynb."""

__version__ = "0.1.0"
