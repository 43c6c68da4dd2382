"""Memory that a notebook keeps for its next tensor, against memory that is given back and asked for anew."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import torch
from side_by_side import Skipped, compare

from chromae import datasets, losses, notebook, settings, training
from chromae.datasets.pairs import recolor
from chromae.models.embedder import Embedder, contrastive_objective

STEPS, BATCH = 40, 32


def kept_memory() -> dict:
    """40 steps of an embedder on pairs of shapes in float32, each side in a process of its own, on one thread.

    Ours: as after a notebook's first line. Theirs: as the C library has it.
    """
    spawn = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(1, spawn, notebook._keep_memory) as kept,
        ProcessPoolExecutor(1, spawn) as given_back,
    ):
        if not kept.submit(_keeps).result() or given_back.submit(_keeps).result():  # imports what the sides need, too
            raise Skipped("it is glibc's memory, as it comes, that is compared")
        return compare(lambda: kept.submit(_train).result(), lambda: given_back.submit(_train).result(), rounds=9)


def _keeps() -> bool:
    """Whether this process was told to keep memory."""
    return any(name.startswith("MALLOC_") for name in os.environ)


def _train() -> None:
    torch.manual_seed(0)
    model = Embedder().to(memory_format=torch.channels_last)
    objective = contrastive_objective(losses.info_nce)
    with settings.one_thread():
        training.fit(
            model, datasets.shape_pairs((recolor,)), objective, epochs=1, epoch_size=STEPS * BATCH, batch_size=BATCH
        )
