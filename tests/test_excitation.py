"""Exciting neurons: the network and its names, answers of its parts, hooks that go away, pictures that learn."""

import copy
from pathlib import Path
from urllib.error import URLError

import matplotlib
import pytest
import timm
import torch
import torchvision
from torch import nn

from chromae import excitation
from chromae.datasets import own
from chromae.models.palette import Fourier, Palette, PaletteImage


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def network():
    return excitation.efficientnet_lite0()


def tiny():
    """A classifier of three classes that answer to red, green and blue."""
    body = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Identity(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.no_grad():
        body[0].weight.copy_(torch.eye(3)[..., None, None])
        body[0].bias.zero_()
    return excitation.Classifier(body, ["red", "green", "blue"])


def picture(seed=0, n=3):
    return PaletteImage(Fourier(n, 12, 12, seeded(seed)), Palette(n, seeded(seed + 1)))


def test_the_network_knows_its_classes(network):
    assert len(network.classes) == 1000
    assert network.classes[network.index("daisy")] == "daisy"
    with torch.no_grad():
        logits = network(torch.rand(2, 3, 64, 64, generator=seeded()))
    assert logits.shape == (2, 1000)
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_an_unknown_class_is_told_its_likes(network):
    with pytest.raises(ValueError, match="class 'dasiy' is unknown, did you mean daisy"):
        network.index("dasiy")
    with pytest.raises(ValueError, match="class 'purple' is unknown, did you mean"):
        excitation.logit(tiny(), "purple")


def test_a_class_has_many_names_and_a_number(network):
    assert network.index("goldfinch") == network.index("Carduelis carduelis") == network.index(11) == 11
    assert network.index(network.classes[11]) == 11
    with pytest.raises(ValueError, match=r"class 'crane' is the name of several, expected .* 134 \(crane\) or 517"):
        network.index("crane")
    with pytest.raises(ValueError, match="class 1000 is unknown, expected a number from 0 to 999"):
        network.index(1000)


def test_googlenet_is_torchvisions_own_for_pictures_in_0_1(monkeypatch):
    torch.manual_seed(0)
    reference = torchvision.models.googlenet(init_weights=False, transform_input=True)
    state = reference.state_dict()
    monkeypatch.setattr(torchvision.models.GoogLeNet_Weights, "get_state_dict", lambda *_, **__: state)
    classifier = excitation.googlenet()
    assert classifier.index("daisy") == 985
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        small = torchvision.transforms.functional.normalize(images, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        torch.testing.assert_close(classifier(images), reference.eval()(small), atol=1e-4, rtol=1e-3)


def test_weights_that_cannot_be_fetched_are_one_sentence(monkeypatch):
    def offline(*_, **__):
        raise URLError("no network")

    monkeypatch.setattr(torchvision.models.GoogLeNet_Weights, "get_state_dict", offline)
    with pytest.raises(ValueError, match=r"GoogLeNet's weights could not be fetched \(.*no network.*\); efficientnet"):
        excitation.googlenet()


@pytest.mark.parametrize("size", [0, 1, 2])
def test_all_three_networks_know_a_uniform_when_they_see_it(size):
    """Weights in their places, colours in their range, names of classes in their order."""
    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    photo = torch.nn.functional.interpolate(own.read(path)[None, :, :500], (224, 224), mode="area")
    stranger = excitation.efficientnet_lite(size)
    with torch.no_grad():
        said = stranger(photo)[0].softmax(0)
    assert stranger.classes[said.argmax()] == "military uniform"
    assert said.max() > 100 / 1000  # a hundred times chance


def test_weights_of_another_size_are_refused():
    with pytest.raises(ValueError, match="expected those of EfficientNet-Lite1"):
        excitation.efficientnet_lite_weights(timm.create_model("tf_efficientnet_lite0"), 1)


def test_folding_norms_changes_no_output():
    torch.manual_seed(0)
    body = timm.create_model("tf_efficientnet_lite0").train()
    x = torch.rand(4, 3, 64, 64)
    body(x)  # gives its norms statistics
    body.eval()
    folded = excitation.fold_norms(copy.deepcopy(body))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded(x), body(x), atol=1e-4, rtol=1e-3)


def test_answers_are_activations():
    classifier = tiny()
    images = torch.rand(4, 3, 5, 5, generator=seeded())
    field = 2 * images - 1
    torch.testing.assert_close(excitation.logit(classifier, "green")(images), field[:, 1].mean((1, 2)))
    torch.testing.assert_close(excitation.channel(classifier, "0", 2)(images), field[:, 2].mean((1, 2)))
    torch.testing.assert_close(excitation.neuron(classifier, "1", 0)(images), field[:, 0, 2, 2])
    along = excitation.direction(classifier, "0", torch.tensor([3.0, 4.0, 0.0]))(images)
    torch.testing.assert_close(along, (0.6 * field[:, 0] + 0.8 * field[:, 1]).mean((1, 2)))


def test_a_channel_that_is_not_there_is_named():
    images = torch.rand(1, 3, 5, 5)
    for answer in (excitation.channel(tiny(), "0", 3), excitation.neuron(tiny(), "0", 4)):
        with pytest.raises(ValueError, match=r"index is (3|4), layer '0' has channels 0 to 2"):
            answer(images)
    with pytest.raises(ValueError, match=r"vector has shape \(2,\), layer '0' has 3 channels"):
        excitation.direction(tiny(), "0", torch.ones(2))(images)


def test_style_is_nought_for_the_image_itself_and_knows_no_places():
    classifier = tiny()
    image = torch.rand(3, 8, 8, generator=seeded())
    answer = excitation.style(classifier, ["0", "1"], image)
    moved = image.roll((3, 2), dims=(1, 2))
    other = torch.rand(3, 8, 8, generator=seeded(1)) * torch.tensor([1.0, 0.2, 0.0])[:, None, None]
    same, rolled, far = answer(torch.stack([image, moved, other])).tolist()
    assert same == pytest.approx(0, abs=1e-9)
    assert rolled == pytest.approx(0, abs=1e-9)
    assert far < -0.3
    assert hooks(classifier) == 0


def hooks(module):
    return sum(len(part._forward_hooks) for part in module.modules())


def test_hooks_go_away_even_after_an_error():
    classifier = tiny()
    excitation.channel(classifier, "0", 0)(torch.rand(1, 3, 5, 5))
    assert hooks(classifier) == 0

    def fail(_features):
        raise KeyboardInterrupt

    classifier.network[3].forward = fail
    with pytest.raises(KeyboardInterrupt):
        excitation.channel(classifier, "0", 0)(torch.rand(1, 3, 5, 5))
    assert hooks(classifier) == 0


def test_an_unknown_layer_is_told_its_likes(network):
    with pytest.raises(ValueError, match=r"layer 'blocks.4.7' is unknown, did you mean blocks\.4"):
        excitation.channel(network, "blocks.4.7", 0)(torch.rand(1, 3, 32, 32))


@pytest.mark.parametrize("relaxation", ["annealed", "straight-through"])
def test_a_picture_learns_what_excites(relaxation):
    image = picture()
    image.relaxation = relaxation
    seen = []
    history = excitation.maximize(
        image, excitation.logit(tiny(), "red"), steps=80, views=2, lr=0.1,
        callback=lambda step, model, log: seen.append(step),
    )  # fmt: skip
    assert seen == list(range(1, 81))
    assert len(history["target"]) == 80
    assert history["target"][-1] > history["target"][0] + 0.3
    assert image.progress == 1
    red, green, blue = image.strict().mean((1, 2))
    assert red > 0.8
    assert red > max(green, blue) + 0.2


def test_a_seed_fixes_the_picture_and_a_checkpoint_goes_on_with_it(tmp_path):
    answer = excitation.logit(tiny(), "blue")

    def run(steps=12, **options):
        image = picture()
        excitation.maximize(image, answer, steps=steps, seed=3, **options)
        return image

    whole = run()
    assert torch.equal(whole.relaxed(), run().relaxed())

    class Stop(Exception):
        pass

    def stop(step, image, history):
        if step == 5:
            raise Stop

    with pytest.raises(Stop):
        run(callback=stop, checkpoint=tmp_path / "picture.pt")
    again = run(checkpoint=tmp_path / "picture.pt")
    assert torch.equal(whole.relaxed(), again.relaxed())


def test_spikiness_grows_on_the_picture():
    soft, spiky = picture(), picture()
    for image, weight in ((soft, 0.0), (spiky, 20.0)):
        excitation.maximize(image, excitation.logit(tiny(), "red"), steps=60, spiky=weight, lr=0.1)
    assert spiky.logits().softmax(0).amax(0).mean() > soft.logits().softmax(0).amax(0).mean() + 0.05
