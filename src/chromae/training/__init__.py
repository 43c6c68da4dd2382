"""Training: one loop, what it reads, how it goes on after a stop, many seeds side by side, several processes."""

from chromae.training.ensemble import Ensemble
from chromae.training.loop import History, Objective, StopTraining, fit
from chromae.training.optimizers import Adam
from chromae.training.schedules import cosine, one_cycle

__all__ = ["Adam", "Ensemble", "History", "Objective", "StopTraining", "cosine", "fit", "one_cycle"]
