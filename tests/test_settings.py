"""Presets, devices, folders, threads."""

import os
import tempfile
from pathlib import Path

import pytest
import torch

from chromae import settings


def test_presets_pick_their_value(monkeypatch):
    for name in settings.PRESETS:
        monkeypatch.setenv("CHROMAE_PRESET", name)
        assert settings.preset() == name
        assert settings.pick(fast="fast", standard="standard", full="full") == name


@pytest.mark.parametrize("value", [None, ""])
def test_standard_is_the_default(monkeypatch, value):
    monkeypatch.delenv("CHROMAE_PRESET", raising=False)
    if value is not None:
        monkeypatch.setenv("CHROMAE_PRESET", value)
    assert settings.preset() == "standard"


def test_unknown_preset(monkeypatch):
    monkeypatch.setenv("CHROMAE_PRESET", "quick")
    with pytest.raises(ValueError, match=r"^CHROMAE_PRESET is 'quick', expected one of fast, standard, full$"):
        settings.pick(fast=1, standard=2, full=3)


def test_device_override(monkeypatch):
    monkeypatch.setenv("CHROMAE_DEVICE", "cpu")
    assert settings.device() == torch.device("cpu")


def test_device_without_an_override(monkeypatch):
    monkeypatch.delenv("CHROMAE_DEVICE", raising=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    found = torch.accelerator.current_accelerator(check_available=True)
    assert settings.device() == (found or torch.device("cpu"))


@pytest.mark.parametrize("name", ["toaster", "cuda:99", "meta", "-1"])
def test_unknown_device(monkeypatch, name):
    monkeypatch.setenv("CHROMAE_DEVICE", name)
    with pytest.raises(ValueError, match=rf"^CHROMAE_DEVICE is '{name}', expected [^\n]*cpu[^\n]*$"):
        settings.device()


def test_cpu_name_tells_the_threads():
    with settings.one_thread():
        assert settings.device_name("cpu").endswith(", 1 thread)")


def test_other_devices_have_no_bf16():
    assert settings.has_bf16("meta") is False


def test_cpu_tells_whether_it_has_bf16():
    assert isinstance(settings.has_bf16("cpu"), bool)
    assert settings.has_bf16(torch.device("cpu")) == settings.has_bf16("cpu")


def test_a_seed_fixes_what_torch_draws():
    drawn = []
    for seed in (1, 1, 2):
        settings.seed_everything(seed)
        drawn.append(torch.randn(4))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_one_thread_only_inside_the_block():
    with settings.one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_one_thread_ends_with_an_error():
    with pytest.raises(RuntimeError, match="inside"), settings.one_thread():
        raise RuntimeError("inside")
    assert torch.get_num_threads() == 2


def places(monkeypatch, tmp_path, preset):
    """The folders of a notebook, with the repository and the temp folder both moved below `tmp_path`."""
    temp, repository = tmp_path / "temp", tmp_path / "repository"
    temp.mkdir()
    repository.mkdir()
    monkeypatch.setenv("CHROMAE_PRESET", preset)
    monkeypatch.setattr(tempfile, "tempdir", str(temp))
    monkeypatch.setattr(settings, "ROOT", repository)
    return temp, repository, settings.folders("01_topic")


def test_fast_writes_only_below_the_temp_folder(monkeypatch, tmp_path):
    temp, repository, made = places(monkeypatch, tmp_path, "fast")
    assert all(folder.is_relative_to(temp) for folder in made)
    assert all(folder.is_dir() for folder in (made.images, made.frames, made.results))
    assert list(repository.iterdir()) == []


@pytest.mark.parametrize("preset", ["standard", "full"])
def test_other_presets_write_to_the_repository(monkeypatch, tmp_path, preset):
    temp, repository, made = places(monkeypatch, tmp_path, preset)
    below = ("images", "images/frames/01_topic", "results", "results/studies/01_topic", "results/weights")
    assert made == tuple(repository / name for name in below)
    assert all(folder.is_dir() for folder in made[:3])
    assert not any(folder.exists() for folder in made[3:])  # made by the runs that fill them
    assert list(temp.iterdir()) == []


def test_folders_may_exist_already(monkeypatch, tmp_path):
    _, _, made = places(monkeypatch, tmp_path, "fast")
    (made.images / "kept.png").touch()
    assert settings.folders("01_topic") == made
    assert (made.images / "kept.png").exists()


def test_results_can_lie_elsewhere(monkeypatch, tmp_path):
    monkeypatch.setenv("CHROMAE_PRESET", "standard")
    monkeypatch.setenv("CHROMAE_RESULTS", str(tmp_path / "results"))
    made = settings.folders("01_color_autoencoder")
    assert made.results == tmp_path / "results"
    assert made.results.is_dir()
    assert made.images == settings.ROOT / "images"


def test_data_can_be_shared_between_clones(monkeypatch, tmp_path):
    assert settings.data_folder() == Path(os.environ.get("CHROMAE_DATA") or settings.ROOT / "data")
    monkeypatch.setenv("CHROMAE_DATA", str(tmp_path))
    assert settings.data_folder() == tmp_path
