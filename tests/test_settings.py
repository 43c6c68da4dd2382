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


@pytest.mark.parametrize(
    ("there", "rank", "taken"),
    [(None, None, "cpu"), ("cuda", None, "cuda"), ("cuda", "3", "cuda:3"), ("xpu", None, "xpu"), ("mps", None, "cpu")],
)
def test_device_without_an_override(monkeypatch, there, rank, taken):
    """On machines with one accelerator or another: Apple's, which lacks float64, is left alone unless asked for."""
    monkeypatch.delenv("CHROMAE_DEVICE", raising=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank:
        monkeypatch.setenv("LOCAL_RANK", rank)
    set_to = []
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: there and torch.device(there))
    monkeypatch.setattr(torch.accelerator, "set_device_index", set_to.append)
    assert settings.device() == torch.device(taken)
    assert set_to == ([int(rank)] if rank else [])


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


@pytest.mark.parametrize(
    ("told", "has"),
    [
        ({}, False),
        ({"avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx2": True, "avx512_f": True}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True, "avx512_bf16": False}, True),
        ({"bf16": True, "cpu_name": "an ARM"}, True),
    ],
)
def test_cpu_tells_whether_it_has_bf16(monkeypatch, told, has):
    """And mixed precision follows it: only where products in bfloat16 pay, and only if it is asked for."""
    monkeypatch.setattr(settings, "_cpu", lambda: told)
    for name in ("cpu", torch.device("cpu")):
        assert settings.has_bf16(name) is has
        for wanted in (True, False):
            with settings.mixed_precision(name, wanted):
                product = torch.ones(2, 2) @ torch.ones(2, 2)
            assert product.dtype == (torch.bfloat16 if has and wanted else torch.float32)


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


def places(monkeypatch, tmp_path, preset, publish=None):
    """The folders of a notebook, with the repository and the temp folder both moved below `tmp_path`."""
    temp, repository = tmp_path / "temp", tmp_path / "repository"
    temp.mkdir()
    repository.mkdir()
    monkeypatch.delenv("CHROMAE_RESULTS", raising=False)
    monkeypatch.delenv("CHROMAE_PUBLISH", raising=False)
    if publish is not None:
        monkeypatch.setenv("CHROMAE_PUBLISH", publish)
    monkeypatch.setenv("CHROMAE_PRESET", preset)
    monkeypatch.setattr(tempfile, "tempdir", str(temp))
    monkeypatch.setattr(settings, "ROOT", repository)
    return temp, repository, settings.folders("01_topic")


@pytest.mark.parametrize("publish", [None, "films", "all"])
def test_fast_writes_only_below_the_temp_folder(monkeypatch, tmp_path, publish):
    temp, repository, made = places(monkeypatch, tmp_path, "fast", publish)
    assert all(folder.is_relative_to(temp) for folder in made)
    assert all(folder.is_dir() for folder in made[:4])
    assert list(repository.iterdir()) == []


def test_every_fast_process_has_a_folder_of_its_own(monkeypatch, tmp_path):
    """Not even the records of another fast run are found again; within a process the folders stay the same."""
    temp, _, made = places(monkeypatch, tmp_path, "fast")
    assert settings.folders("02_other").images == made.images
    settings._fresh_folder.cache_clear()  # as in another process
    assert settings.folders("01_topic").studies != made.studies
    assert len(list(temp.iterdir())) == 2
    assert {oct(folder.stat().st_mode & 0o777) for folder in temp.iterdir()} <= {oct(0o700), oct(0o777)}  # on Windows


@pytest.mark.parametrize("preset", ["standard", "full"])
@pytest.mark.parametrize(
    ("publish", "films", "shown", "kept"),
    [
        (None, "build/", "build/", "build/"),
        ("", "build/", "build/", "build/"),
        ("films", "", "build/", "build/"),
        ("all", "", "", "results/"),
    ],
)
def test_a_run_by_hand_publishes_nothing(monkeypatch, tmp_path, preset, publish, films, shown, kept):
    """`make` publishes its films, `make notebooks` everything."""
    temp, repository, made = places(monkeypatch, tmp_path, preset, publish)
    assert {name: path.relative_to(repository).as_posix() for name, path in made._asdict().items()} == {
        "images": f"{shown}images",
        "films": f"{films}images",
        "frames": f"{films}images/frames/01_topic",
        "results": f"{shown}results",
        "studies": f"{kept}studies/01_topic",
        "weights": f"{kept}weights" + ("/full" if preset == "full" else ""),  # no preset reads another's
    }
    assert all(folder.is_dir() for folder in (made.images, made.films, made.frames, made.results))
    assert not any(folder.exists() for folder in (made.studies, made.weights))  # made by the runs that fill them
    assert list(temp.iterdir()) == []


def test_publishing_something_else_is_one_sentence(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match=r"^CHROMAE_PUBLISH is 'everything', expected films, all or nothing$"):
        places(monkeypatch, tmp_path, "standard", "everything")
    assert list((tmp_path / "repository").iterdir()) == []


def test_folders_may_exist_already(monkeypatch, tmp_path):
    _, _, made = places(monkeypatch, tmp_path, "fast")
    (made.images / "kept.png").touch()
    assert settings.folders("01_topic") == made
    assert (made.images / "kept.png").exists()


@pytest.mark.parametrize("preset", settings.PRESETS)
def test_results_can_lie_elsewhere(monkeypatch, tmp_path, preset):
    _, _, made = places(monkeypatch, tmp_path, preset)
    monkeypatch.setenv("CHROMAE_RESULTS", str(tmp_path / "my results"))
    elsewhere = settings.folders("01_topic")
    assert elsewhere == made._replace(results=tmp_path / "my results")
    assert elsewhere.results.is_dir()


def test_what_is_not_there_is_found_where_it_is_published(monkeypatch, tmp_path):
    _, repository, made = places(monkeypatch, tmp_path, "standard")
    published = repository / "results" / "weights" / "a.safetensors"
    assert settings.find(made.weights / "a.safetensors") == made.weights / "a.safetensors"
    published.parent.mkdir(parents=True)
    published.touch()
    assert settings.find(str(made.weights / "a.safetensors")) == published
    assert settings.left_by_hand(published) is None
    made.weights.mkdir(parents=True)
    (made.weights / "a.safetensors").touch()
    assert settings.find(made.weights / "a.safetensors") == made.weights / "a.safetensors"
    assert settings.left_by_hand(published) == made.weights / "a.safetensors"
    assert settings.find(tmp_path / "elsewhere") == tmp_path / "elsewhere"
    assert settings.left_by_hand(tmp_path / "elsewhere") is None


def test_data_can_be_shared_between_clones(monkeypatch, tmp_path):
    assert settings.data_folder() == Path(os.environ.get("CHROMAE_DATA") or settings.ROOT / "data")
    monkeypatch.setenv("CHROMAE_DATA", str(tmp_path))
    assert settings.data_folder() == tmp_path
