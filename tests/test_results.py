"""Published numbers: how they are made, written and shown."""

import json
import math
from pathlib import Path

import pytest
import torch

from chromae import results, settings

README = settings.ROOT / "README.md"
no_full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")


@pytest.fixture
def published(tmp_path):
    """A results folder with one file."""
    record = {
        "seconds": 61,
        "device": "cpu (x86_64)",
        "metrics": {"mse": results.metric([0.0271, 0.0279], "MSE"), "colors": results.metric(12345, "colours")},
    }
    results.write_json(tmp_path / "01_topic.json", record)
    return tmp_path


def test_metric_is_mean_and_spread():
    found = results.metric([1.0, 2.0, 6.0], "MSE")
    assert found == {"value": 3.0, "spread": pytest.approx(math.sqrt(7)), "n": 3, "unit": "MSE"}


@pytest.mark.parametrize("values", [0.25, [0.25], torch.tensor([0.25])])
def test_metric_of_one_number_has_no_spread(values):
    assert results.metric(values, "s") == {"value": 0.25, "spread": 0.0, "n": 1, "unit": "s"}


def test_metric_of_a_whole_number():
    found = results.metric(3, "colours")
    assert found["value"] == 3
    assert found["n"] == 1


def test_metric_of_a_tensor_can_be_published():
    found = results.metric(torch.tensor([1.0, 3.0]), "MSE")
    assert json.loads(json.dumps(found)) == {"value": 2.0, "spread": pytest.approx(math.sqrt(2)), "n": 2, "unit": "MSE"}


def test_write_publishes_the_schema(tmp_path, monkeypatch):
    monkeypatch.setenv("CHROMAE_PRESET", "fast")
    path = results.write(
        tmp_path,
        "01_topic",
        data="uniform colours",
        device=torch.device("cpu"),
        seconds=12.6,
        metrics={"mse": results.metric([1.0, 3.0], "MSE")},
    )
    assert path == tmp_path / "01_topic.json"
    record = json.loads(path.read_text())
    assert list(record) == ["notebook", "preset", "device", "data", "versions", "seconds", "metrics"]
    assert record["notebook"] == "01_topic"
    assert record["preset"] == "fast"
    assert record["device"].startswith("CPU (")
    assert record["data"] == "uniform colours"
    assert record["versions"]["torch"] == torch.__version__
    assert record["seconds"] == 13
    assert record["metrics"] == {"mse": {"value": 2.0, "spread": pytest.approx(math.sqrt(2)), "n": 2, "unit": "MSE"}}
    assert [each.name for each in tmp_path.iterdir()] == ["01_topic.json"]


def test_write_keeps_the_earlier_file_if_a_value_is_no_json(tmp_path):
    path = results.write_json(tmp_path / "a.json", {"x": 1})
    with pytest.raises(TypeError):
        results.write_json(path, {"x": torch.zeros(1)})
    assert json.loads(path.read_text()) == {"x": 1}
    assert list(tmp_path.iterdir()) == [path]


@no_full_disk
def test_write_keeps_the_earlier_file_on_a_full_disk(tmp_path):
    path = results.write_json(tmp_path / "a.json", {"x": 1})
    (tmp_path / "a.json.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        results.write_json(path, {"x": 2})
    assert json.loads(path.read_text()) == {"x": 1}


@pytest.mark.parametrize(
    ("mark", "shown"),
    [
        ("01_topic metrics.mse:.4f", "0.0275 ± 0.0006"),
        ("01_topic metrics.mse.value:.3f", "0.028"),
        ("01_topic metrics.mse.n", "2"),
        ("01_topic metrics.mse.unit", "MSE"),
        ("01_topic metrics.colors:,.0f", "12,345"),
        ("01_topic seconds", "61"),
        ("01_topic seconds:.1f", "61.0"),
        ("01_topic device", "cpu (x86_64)"),
    ],
)
def test_fill_shows(published, mark, shown):
    text = f"before <!--= {mark} -->stale\nnumber<!--/--> after"
    assert results.fill(text, published) == f"before <!--= {mark} -->{shown}<!--/--> after"


def test_fill_renews_every_mark_and_nothing_else(published):
    text = (
        "MSE 0.5 <!-- a comment --> | <!--= 01_topic seconds -->1<!--/--> | "
        "<!--= 01_topic seconds:.1f --><!--/--> | 0.5 <!--/-->"
    )
    expected = (
        "MSE 0.5 <!-- a comment --> | <!--= 01_topic seconds -->61<!--/--> | "
        "<!--= 01_topic seconds:.1f -->61.0<!--/--> | 0.5 <!--/-->"
    )
    assert results.fill(text, published) == expected


def test_fill_twice_is_fill_once(published):
    once = results.fill("<!--= 01_topic metrics.mse:.4f -->?<!--/--> and <!--= 01_topic device --><!--/-->", published)
    assert "0.0275 ± 0.0006" in once
    assert results.fill(once, published) == once


@pytest.mark.parametrize(
    ("mark", "error"),
    [
        ("01_topic metrics.triplet:.3f", KeyError),
        ("01_topic minutes", KeyError),
        ("02_topic seconds", FileNotFoundError),
    ],
)
def test_fill_refuses_an_unpublished_number(published, mark, error):
    with pytest.raises(error):
        results.fill(f"<!--= {mark} -->0.1<!--/-->", published)


def test_readme_shows_the_published_numbers():
    if not README.exists():
        pytest.skip("there is no README.md yet")
    text = README.read_text()
    assert text.count("<!--= ") == len(results.MARK.findall(text)), "a mark that fill does not understand"
    assert results.fill(text, settings.ROOT / "results") == text


def test_compare_names_the_numbers_that_differ(published, tmp_path):
    again = json.loads((published / "01_topic.json").read_text())
    again |= {"preset": "standard", "versions": {"torch": "9.9"}}
    results.write_json(published / "01_topic.json", again)
    assert results.compare(published, published) == ["01_topic: 2 of 2 numbers as published"]

    other = tmp_path / "again"
    other.mkdir()
    again["metrics"] = {"mse": results.metric(0.031, "MSE"), "colors": results.metric(12345.001, "colours")}
    again["device"] = "cuda (some card)"
    results.write_json(other / "01_topic.json", again)
    results.write_json(other / "11_mine.json", again)  # not published, so not compared
    assert results.compare(other, published) == [
        "01_topic: 1 of 2 numbers as published"
        " (here standard, cuda (some card), torch 9.9; there standard, cpu (x86_64), torch 9.9)",
        "  mse is 0.031, published is 0.0275",
    ]


def test_compare_wants_results(published, tmp_path):
    empty = tmp_path / "empty"
    with pytest.raises(FileNotFoundError, match=r"no results in .*empty to compare with those in .*: run `make` first"):
        results.compare(empty, published)
