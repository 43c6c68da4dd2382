"""Training the published autoencoder of photos: ours against the loop that most notebooks have."""

import torch
import torch.nn.functional as F
from loaders import in_torchvision
from side_by_side import agree, compare
from torch.utils.data import DataLoader

from chromae import datasets, losses, training
from chromae.models import photos

PHOTOS, BATCH = 4096, 16


def photos_train() -> dict:
    """An epoch of 4,096 photos, batch 16, at equal losses.

    Ours: bytes in memory, channels-last, bfloat16 where the hardware has it, fused Adam, one thread for so small a
    net. Theirs: torchvision's CIFAR10 with ToTensor, a DataLoader with 2 workers, float32, contiguous, Adam.
    """
    train, _, _ = datasets.photos()
    images = train.images[:PHOTOS]
    dataset = in_torchvision(images, train.labels[:PHOTOS])
    errors = {}

    def ours() -> None:
        torch.manual_seed(0)
        model = photos.small().to(memory_format=torch.channels_last)
        history = training.fit(model, images, losses.reconstruction, epochs=1, batch_size=BATCH, bf16=True)
        errors["ours"] = history["loss"][-1]

    def theirs() -> None:
        torch.manual_seed(0)
        model = photos.small()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        total = 0.0
        for x, _ in DataLoader(dataset, batch_size=BATCH, shuffle=True, num_workers=2):
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), x)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x)
        errors["theirs"] = total / PHOTOS

    measured = compare(ours, theirs, rounds=9)
    agree(errors, within=0.03)
    return measured
