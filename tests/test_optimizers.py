"""Chromae's Adam against torch's, bit for bit."""

import subprocess
import sys

import torch

from chromae.training import Adam

TRAINING = """
import sys, torch
from chromae import datasets, losses, training
from chromae.figures import pages, plots
from chromae.models.color_autoencoder import ColorAutoencoder

models = training.Ensemble(ColorAutoencoder, [0, 1])
for model, sample, loss in (
    (ColorAutoencoder(), datasets.colors, losses.reconstruction),
    (models, models.sample(datasets.colors), models.objective(losses.reconstruction)),
):
    training.fit(model, sample, loss, epochs=2, epoch_size=64, checkpoint=sys.argv[1] + type(model).__name__)
pages.sheet(torch.rand(2, 3, 4, 4), 2)
print([name for name in ("torch._dynamo", "sympy", "torchvision") if name in sys.modules])
"""

SHAPES = [(2, 3), (2,), (40, 30), ()]


def make(kind, lr=0.01):
    """Parameters and their optimiser."""
    torch.manual_seed(0)
    parameters = [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    return parameters, kind(parameters, lr=lr)


def torch_adam(parameters, lr):
    return torch.optim.Adam(parameters, lr=lr, fused=True)


def run(parameters, optimizer, steps, idle=()):
    """Steps along made-up gradients; a parameter whose place is in `idle` has none at every third step."""
    for step in steps:
        torch.manual_seed(100 + step)
        for place, parameter in enumerate(parameters):
            gradient = torch.randn(parameter.shape) * 10.0 ** -(step % 4)
            parameter.grad = None if place in idle and step % 3 == 0 else gradient
        optimizer.param_groups[0]["lr"] = 0.01 / (1 + step)
        optimizer.step()


def check_same(ours, theirs):
    assert all(torch.equal(a, b) for a, b in zip(ours[0], theirs[0], strict=True))
    ours, theirs = ours[1].state_dict()["state"], theirs[1].state_dict()["state"]
    assert ours.keys() == theirs.keys()
    for place, state in ours.items():
        assert state.keys() == theirs[place].keys()
        assert all(torch.equal(value, theirs[place][name]) for name, value in state.items())


def test_same_bits_as_torch():
    ours, theirs = make(Adam), make(torch_adam)
    start = [p.detach().clone() for p in ours[0]]
    for pair in (ours, theirs):
        run(*pair, range(50), idle=(1, 2))
    check_same(ours, theirs)
    assert ours[1].state[ours[0][0]]["step"] == 50
    assert ours[1].state[ours[0][1]]["step"] == 33
    assert not any(torch.equal(p, s) for p, s in zip(ours[0], start, strict=True))


def test_a_parameter_that_never_has_a_gradient_keeps_its_bits():
    parameters, optimizer = make(Adam)
    before = parameters[3].detach().clone()
    for parameter in parameters[:3]:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert torch.equal(parameters[3], before)
    assert parameters[3] not in optimizer.state


def test_same_bits_with_other_betas_and_eps():
    ours = make(lambda parameters, lr: Adam(parameters, lr, betas=(0.5, 0.7), eps=1e-3))
    theirs = make(lambda parameters, lr: torch.optim.Adam(parameters, lr, betas=(0.5, 0.7), eps=1e-3, fused=True))
    for pair in (ours, theirs):
        run(*pair, range(10))
    check_same(ours, theirs)


def test_state_moves_to_torch_and_back():
    never_moved = make(Adam)
    run(*never_moved, range(30))

    ours, theirs = make(Adam), make(torch_adam)
    run(*ours, range(10))
    for source, target, steps in ((ours, theirs, range(10, 20)), (theirs, ours, range(20, 30))):
        target[1].load_state_dict(source[1].state_dict())
        for parameter, value in zip(target[0], source[0], strict=True):
            parameter.data.copy_(value)
        run(*target, steps)
    check_same(ours, never_moved)


def test_same_bits_in_double_precision():
    pairs = []
    for kind in (Adam, torch_adam):
        parameters = [torch.nn.Parameter(torch.ones(3, dtype=torch.float64))]
        optimizer = kind(parameters, lr=0.1)
        for step in range(5):
            parameters[0].grad = torch.tensor([1.0, -2.0, step], dtype=torch.float64)
            optimizer.step()
        pairs.append((parameters, optimizer))
    check_same(*pairs)


def test_a_step_under_a_gradient_scaler_is_torchs():
    """The scaler undoes its scaling before the step, and leaves out a step whose gradients overflowed."""

    def train(kind):
        parameter = torch.nn.Parameter(torch.ones(3))
        optimizer = kind([parameter], lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        for factor in (1.0, torch.inf, 2.0):
            optimizer.zero_grad()
            scaler.scale((factor * parameter).sum()).backward()
            scaler.step(optimizer)
            scaler.update()
        return parameter

    assert torch.equal(train(Adam), train(torch_adam))


def labels_of_steps(optimizer) -> set[str]:
    """The profiler labels that torch puts around a step of an optimiser."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        optimizer.step()
    return {event.key for event in profile.key_averages() if event.key.startswith("Optimizer.step")}


def test_a_step_has_no_profiler_label():
    """What `step.hooked = True` is for: a name of torch's own, which it may drop."""
    labels = {}
    for name, kind in (("ours", Adam), ("theirs", torch_adam)):
        parameters, optimizer = make(kind)
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        labels[name] = labels_of_steps(optimizer)
    assert labels == {"ours": set(), "theirs": {"Optimizer.step#Adam.step"}}


def test_what_trains_and_plots_does_not_import_torchs_compiler(tmp_path):
    """It takes seconds of every process."""
    command = [sys.executable, "-c", TRAINING, str(tmp_path / "checkpoint")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
