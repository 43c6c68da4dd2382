"""Exciting a neuron: the folded, frozen network against the same as it comes, in training mode."""

import timm
import torch
from side_by_side import agree, compare

from chromae import excitation
from chromae.models.palette import Fourier, Palette, PaletteImage

SIZE, COLORS, STEPS, VIEWS = 160, 6, 10, 2


def palette_step() -> dict:
    """10 steps on a picture of 160 × 160 in 6 colours, 2 views each, through the same `excite`.

    Ours: batch norms in the convolutions, no gradients of weights. Theirs: neither, batch statistics every step.
    """
    folded = excitation.efficientnet_lite0()
    network = timm.create_model("tf_efficientnet_lite0")
    network.load_state_dict(excitation.efficientnet_lite_weights(network))
    published = excitation.Classifier(network, folded.classes)
    with torch.no_grad():
        x = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
        agree({"folded": folded(x).norm().item(), "published": published(x).norm().item()}, within=1e-3)
    published.network.train().requires_grad_(True)

    def steps(classifier: excitation.Classifier) -> None:
        generator = torch.Generator().manual_seed(0)
        image = PaletteImage(Fourier(COLORS, SIZE, SIZE, generator), Palette(COLORS, generator))
        excitation.maximize(image, excitation.logit(classifier, "daisy"), STEPS, VIEWS)

    return compare(lambda: steps(folded), lambda: steps(published), rounds=9)
