"""What functions accept: signatures that are checked, kinds of numbers and networks, full precision."""

from chromae.arguments.check import bare, checked, gave, takes, unchecked

__all__ = ["bare", "checked", "gave", "takes", "unchecked"]
