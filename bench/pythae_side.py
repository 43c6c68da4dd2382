"""pythae's side of the pairs, run by the Python of its own environment: KIND DIGITS THREADS.

Says when it is ready, then trains an epoch for every line that it is told, and answers with the loss.
"""

import json
import sys
import tempfile

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import nn
from vae_pairs import BATCH, KINDS

from chromae import datasets


class Encoder(BaseEncoder):
    """Our encoder in pythae's words."""

    def __init__(self, layers: nn.Module):
        super().__init__()
        self.layers = layers

    def forward(self, x: torch.Tensor) -> ModelOutput:
        mean, log_variance = self.layers(x).chunk(2, dim=1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class Decoder(BaseDecoder):
    """Our decoder in pythae's words: probabilities, no logits."""

    def __init__(self, layers: nn.Module):
        super().__init__()
        self.layers = layers

    def forward(self, z: torch.Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=torch.sigmoid(self.layers(z)))


class Trainer(BaseTrainer):
    """pythae's trainer, which keeps the loss that it else only logs."""

    def train_step(self, epoch: int) -> float:
        self.loss = super().train_step(epoch)
        return self.loss


def train(kind: str, data: BaseDataset) -> float:
    torch.manual_seed(0)
    model = KINDS[kind].make()
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=20, reconstruction_loss="bce")
    theirs = VAE(config, encoder=Encoder(model.encoder), decoder=Decoder(model.decoder))
    with tempfile.TemporaryDirectory() as folder:
        settings = BaseTrainerConfig(
            output_dir=folder, num_epochs=1, per_device_train_batch_size=BATCH, learning_rate=1e-3, no_cuda=True
        )
        trainer = Trainer(theirs, data, training_config=settings)
        trainer.train()
    return float(trainer.loss)


if __name__ == "__main__":
    kind, digits, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    images = datasets.digits()[0].images[: int(digits)]
    data = BaseDataset(images / 255, torch.zeros(len(images)))
    answers, sys.stdout = sys.stdout, sys.stderr  # what pythae prints is no answer
    print("{}", file=answers, flush=True)
    for _ in sys.stdin:
        print(json.dumps({"loss": train(kind, data)}), file=answers, flush=True)
