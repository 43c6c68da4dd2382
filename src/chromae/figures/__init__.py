"""Figures, the pages of films, and films."""
