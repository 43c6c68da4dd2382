"""Weights in small files: what half precision holds, what it does not, what is broken."""

import pytest
import torch
from conftest import noticed_flips
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from chromae import settings
from chromae.records import weights


class Statistics(nn.Module):
    """A matrix, and numbers as a batch norm may hold."""

    def __init__(self, *variances):
        super().__init__()
        self.matrix = nn.Linear(300, 200)
        self.register_buffer("variance", torch.tensor(variances))
        self.register_buffer("count", torch.tensor(7))


def kinds(path):
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name).dtype for name in file.keys()}  # noqa: SIM118


@pytest.mark.parametrize("variances", [(1e5, 1.0), (1e-9, 1.0), (3e-8, 2e-8), (float("inf"), 1.0), (1e-5 / 3, 1.0)])
def test_what_half_precision_does_not_hold_stays_whole(tmp_path, variances):
    """Too large, too small, or off by more than a thousandth; what is large and ordinary stays small."""
    model = Statistics(*variances)
    again = weights.load(Statistics(0.0, 0.0), weights.save(model, tmp_path / "a.safetensors"))
    assert torch.equal(again.variance, model.variance)
    assert again.count == 7
    assert kinds(tmp_path / "a.safetensors")["matrix.weight"] == torch.float16


def test_ordinary_weights_take_two_bytes_each(tmp_path):
    """A few of a thousand numbers near 0 do not make a matrix twice as large."""
    torch.manual_seed(0)
    model = Statistics(0.5, 2.0)
    assert (model.matrix.weight.abs() < 3e-5).any()
    weights.save(model, tmp_path / "a.safetensors")
    assert kinds(tmp_path / "a.safetensors")["matrix.weight"] == torch.float16
    assert kinds(tmp_path / "a.safetensors")["variance"] == torch.float16
    again = weights.load(Statistics(0.0, 0.0), tmp_path / "a.safetensors")
    assert (again.matrix.weight - model.matrix.weight).norm() < 1e-3 * model.matrix.weight.norm()


@pytest.mark.parametrize("scale", [1e-6, 1e8])
def test_a_matrix_of_another_scale_stays_whole(tmp_path, scale):
    model = Statistics(1.0)
    with torch.no_grad():
        model.matrix.weight.mul_(scale)
    again = weights.load(Statistics(0.0), weights.save(model, str(tmp_path / "new" / "a.safetensors")))
    assert torch.equal(again.matrix.weight, model.matrix.weight)


def test_weights_that_are_no_numbers_are_not_kept(tmp_path):
    good, bad = Statistics(1.0), Statistics(float("nan"))
    path = weights.save(good, tmp_path / "a.safetensors")
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"^variance of model is NaN, expected numbers: [^\n]*$"):
        weights.save(bad, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def read(path):
    """The weights, or why there are none."""
    try:
        return weights.load(Statistics(0.0, 0.0), path).state_dict()
    except ValueError as error:
        return str(error)


def test_a_flipped_bit_anywhere_is_noticed(tmp_path):
    """In a number, a name or the checksum: one sentence with the file in it, or the same weights."""
    torch.manual_seed(0)
    model = Statistics(0.5, 2.0)
    path = weights.save(model, tmp_path / "a.safetensors")
    expected = weights.load(Statistics(0.0, 0.0), path).state_dict()
    places = torch.randint(0, 8 * path.stat().st_size, (60,)).tolist() + list(range(0, 8 * 400, 37))

    def same(found):
        return all(torch.equal(found[name], value) for name, value in expected.items())

    assert noticed_flips(path, places, read, same) > len(places) / 2


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.999])
def test_half_a_file_is_noticed(tmp_path, share):
    path = weights.save(Statistics(1.0), tmp_path / "a.safetensors")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=rf"^{path} does not hold weights of this Statistics: [^\n]*$"):
        weights.load(Statistics(1.0), path)


def test_files_without_a_checksum_are_read(tmp_path):
    """As they were written before, and as other programs write them."""
    model = Statistics(1.0)
    save_file({name: value.clone() for name, value in model.state_dict().items()}, tmp_path / "a.safetensors")
    again = weights.load(Statistics(0.0), str(tmp_path / "a.safetensors"))
    assert torch.equal(again.matrix.weight, model.matrix.weight)


def test_only_the_tensors_of_a_digest_are_adopted(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    left, kept = (tmp_path / top / "weights" / "a.safetensors" for top in ("build", "results"))
    noting = weights.saved.set({})
    weights.save(Statistics(1.0), left)
    (digest,) = weights.saved.get().values()
    weights.saved.reset(noting)
    with pytest.raises(ValueError, match=rf"digest is '0+', expected that of the tensors in {left}, {digest}$"):
        weights.adopt("a.safetensors", 64 * "0")
    assert not kept.exists()
    weights.adopt("a.safetensors", digest)
    assert kept.read_bytes() == left.read_bytes()
    left.write_bytes(left.read_bytes()[:-1])
    with pytest.raises(ValueError, match=rf"^name is 'a.safetensors', expected [^\n]*{left} is broken [^\n]*$"):
        weights.adopt("a.safetensors", digest)
    left.unlink()
    with pytest.raises(FileNotFoundError):
        weights.adopt("a.safetensors", digest)


def test_a_run_by_hand_reads_what_is_published(tmp_path, monkeypatch):
    """Until it has weights of its own, which then come first."""
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    weights.save(Statistics(1.0), tmp_path / "results" / "weights" / "a.safetensors")
    mine = tmp_path / "build" / "weights" / "a.safetensors"
    assert weights.load(Statistics(0.0), mine).variance == 1
    weights.save(Statistics(2.0), mine)
    assert weights.load(Statistics(0.0), mine).variance == 2
    assert weights.load(Statistics(0.0), tmp_path / "results" / "weights" / "a.safetensors").variance == 1
