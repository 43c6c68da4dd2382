"""The published colour autoencoder's loop, rebuilt from https://github.com/GuilhermeFreire/ColorAE.

A colour is one item of a data set, DataLoader workers collate them, every batch's loss is read back, and the
picture of the latent plane is decoded pixel by pixel into a tensor. Two workers, for two cores (it asks for 16).
Gradients are zeroed every step: the published slip costs no time.
"""

from pathlib import Path

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset


class RandomColors(Dataset):
    def __init__(self, n: int):
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.rand(3)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.to_latent = nn.Linear(3, 2)
        self.to_color = nn.Linear(2, 3)

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.to_color(latent))

    def forward(self, color: torch.Tensor) -> torch.Tensor:
        return self.decode(torch.sigmoid(self.to_latent(color)))


def to_8_bit(color: torch.Tensor) -> torch.Tensor:
    return (255 * color).int()


class PublishedLoop:
    """Train, evaluate, draw: `epoch(path)` does what one epoch of the published notebook does."""

    def __init__(self, colors: int = 10_000, batch_size: int = 64, device: str = "cpu"):
        self.device = device
        self.network = Network().to(device)
        self.criterion = nn.MSELoss()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3)
        self.train_loader = DataLoader(RandomColors(colors), batch_size=batch_size, num_workers=2)
        self.test_loader = DataLoader(RandomColors(colors), batch_size=batch_size, num_workers=2)

    def epoch(self, path: Path) -> float:
        self.train()
        error = self.evaluate()
        self.draw(path)
        return error

    def train(self) -> None:
        self.network.train()
        for colors in self.train_loader:
            colors = colors.to(self.device)
            self.optimizer.zero_grad()
            loss = self.criterion(colors, self.network(colors))
            loss.backward()
            self.optimizer.step()
            loss.item()

    @torch.no_grad()
    def evaluate(self) -> float:
        self.network.eval()
        total = 0.0
        for colors in self.test_loader:
            colors = colors.to(self.device)
            total += self.criterion(colors, self.network(colors)).item()
        return total / len(self.test_loader)

    @torch.no_grad()
    def draw(self, path: Path, size: int = 200) -> None:
        axis = torch.linspace(0, 1, size)
        picture = torch.zeros(size, size, 3, dtype=torch.uint8)
        for row, second in enumerate(axis):
            for column, first in enumerate(axis):
                latent = torch.stack([first, second]).to(self.device)
                picture[row, column] = to_8_bit(self.network.decode(latent).to("cpu"))
        Image.fromarray(picture.numpy()).save(path)
