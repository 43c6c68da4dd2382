"""Published numbers: how they are made, written and shown."""

import json
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch

from chromae import files, settings
from chromae.__main__ import main
from chromae.records import results

PAGES = [settings.ROOT / name for name in ("README.md", "RESULTS.md")]
# Numbers on the pages that no seed moves: limits, baselines, counts, what a machine does, what is said of all seeds at
# once (a correlation over 512 networks, the worst rank of any drawing), and two that are about a single seed.
SEEDLESS = re.compile(
    r"""explorer/\w+ | growth/\w+ | \w+/(pca|mean_image|mean_chroma|images_seen)\w* | 01\w+/hue_circle_\w+
    | 02\w+/(hilbert|leaves_worst)\w+ | 05\w+/(claims|false_positive|code_size)_\w+ | 09\w+/moved_\w+
    | 08\w+/(hue_knn5_(measured_color|hue_alone)|color_rank_correlation_hue_alone)
    | 10\w+/\w+_best_of_pillow | 11\w+/worst_rank\w*""",
    re.VERBOSE,
)
SHARED = re.compile(r"06\w+/best_\w+")  # means of pairs that share networks: an interval would be too narrow


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
    low, high = found.pop("low"), found.pop("high")
    assert found == {"value": 3.0, "spread": pytest.approx(math.sqrt(7)), "n": 3, "unit": "MSE"}
    assert (low, high) == pytest.approx((3 - 4.303 * math.sqrt(7 / 3), 3 + 4.303 * math.sqrt(7 / 3)), rel=1e-3)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_nineteen_of_twenty_intervals_hold_the_mean(seeds):
    generator = np.random.default_rng(seeds)
    found = [results.metric(values, "") for values in generator.normal(7, 3, (4000, seeds))]
    assert np.mean([it["low"] <= 7 <= it["high"] for it in found]) == pytest.approx(0.95, abs=0.012)


def test_the_interval_of_a_share_ends_at_0_and_1():
    free, share = (results.metric([0.9, 1.0], unit) for unit in ("MSE", "share of test digits"))
    assert free["high"] > 1
    assert (share["low"], share["high"]) == (free["low"], 1)
    assert results.metric([0.0, 0.1], "share of seeds")["low"] == 0


@pytest.mark.parametrize("values", [0.25, [0.25], torch.tensor([0.25])])
def test_metric_of_one_number_has_no_spread(values):
    assert results.metric(values, "s") == {"value": 0.25, "spread": 0.0, "n": 1, "unit": "s"}


def test_metric_of_a_whole_number():
    found = results.metric(3, "colours")
    assert found["value"] == 3
    assert found["n"] == 1


def test_metric_of_a_tensor_can_be_published():
    found = results.metric(torch.tensor([1.0, 3.0]), "MSE")
    assert json.loads(json.dumps(found)) == found
    assert (found["value"], found["spread"], found["n"]) == (2.0, pytest.approx(math.sqrt(2)), 2)


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
    assert record["metrics"] == {"mse": results.metric([1.0, 3.0], "MSE")}
    assert [each.name for each in tmp_path.iterdir()] == ["01_topic.json"]


def test_write_keeps_the_earlier_file_if_a_value_is_no_json(tmp_path):
    path = results.write_json(tmp_path / "a.json", {"x": 1})
    with pytest.raises(ValueError, match="record cannot be written as JSON"):
        results.write_json(path, {"x": torch.zeros(1)})
    assert json.loads(path.read_text()) == {"x": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_write_keeps_the_earlier_file_on_a_full_disk(tmp_path, monkeypatch):
    path = results.write_json(tmp_path / "a.json", {"x": 1})
    monkeypatch.setattr(files.secrets, "token_hex", lambda size: "full")
    path.with_name(f"{files._stem(path)}{os.getpid()}-full.part").symlink_to("/dev/full")
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


def test_fill_shows_intervals_where_they_are_asked_for(published):
    marks = "<!--= 01_topic metrics.mse:.4f --><!--/--> <!--= 01_topic metrics.colors:,.0f --><!--/-->"
    shown = re.sub("<!--.*?-->", "", results.fill(marks, published, intervals=True))
    assert shown == "0.0275 ± 0.0006 [0.0224, 0.0326] 12,345"


@pytest.mark.parametrize(
    ("value", "form", "shown"), [(-0.004, ".2f", "0.00"), (-0.0, ".0f", "0"), (-0.006, ".2f", "-0.01")]
)
def test_fill_shows_a_nought_without_a_sign(published, value, form, shown):
    results.write_json(published / "02_topic.json", {"metrics": {"r2": results.metric([value, value], "R²")}})
    filled = results.fill(f"<!--= 02_topic metrics.r2:{form} --><!--/-->", published, intervals=True)
    spread = format(0, form)
    assert re.sub("<!--.*?-->", "", filled) == f"{shown} ± {spread} [{shown}, {shown}]"


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


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_pages_show_the_published_numbers(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("<!--= ") == len(results.MARK.findall(text)), "a mark that fill does not understand"
    assert results.fill(text, settings.ROOT / "results", intervals=path.stem == "RESULTS") == text


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_numbers_that_depend_on_a_seed_have_three(path):
    shown = set(re.findall(r"<!--= (\w+) metrics\.(\w+)", path.read_text(encoding="utf-8")))
    books = {name: json.loads((settings.ROOT / "results" / f"{name}.json").read_text()) for name, _ in shown}
    few = {f"{name}/{key}" for name, key in shown if books[name]["metrics"][key]["n"] < 3}
    assert not {it for it in few if not SEEDLESS.fullmatch(it)}


@pytest.mark.parametrize("path", sorted((settings.ROOT / "results").glob("[01]*.json")), ids=lambda path: path.stem)
def test_numbers_of_several_seeds_are_published_with_their_interval(path):
    found = json.loads(path.read_text())["metrics"].items()
    several = {name: it for name, it in found if it["n"] > 1}
    for name, it in several.items():
        if SHARED.fullmatch(f"{path.stem}/{name}"):
            assert not {"low", "high"} & it.keys()
            continue
        reach = scipy.stats.t.ppf(0.975, it["n"] - 1) * it["spread"] / it["n"] ** 0.5
        ends = [it["value"] - reach, it["value"] + reach]
        ends = np.clip(ends, 0, 1) if it["unit"].startswith("share") else ends
        assert [it["low"], it["high"]] == pytest.approx(ends)


def test_costs_add_up(tmp_path):
    tmp_path = tmp_path / "results"
    tmp_path.mkdir()
    none = dict.fromkeys(("runs", "minutes", "vouched", "longest", "on_8", "on_64"), 0)
    assert results.costs(tmp_path / "none") == {"all": none}
    for name, seconds in {"a/1": 60, "a/2": 30.0, "b/1": 960}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        results.write_json(
            tmp_path / f"{name}.json", {"seconds": seconds} | ({"vouched_by": 0} if seconds == 30 else {})
        )
    results.write_json(tmp_path / "c.json", {})  # no study's
    found = results.costs(tmp_path)
    assert found["a"] == {"runs": 2, "minutes": 1.5}
    assert found["all"] == {"runs": 3, "minutes": 17.5, "vouched": 1, "longest": 16, "on_8": 16, "on_64": 16}
    results.write_json(tmp_path / "b" / "2.json", {"seconds": 7 * 3600})
    assert results.costs(tmp_path)["all"]["on_8"] == 420
    for other in range(3, 10):
        results.write_json(tmp_path / "b" / f"{other}.json", {"seconds": 7 * 3600})
    assert results.costs(tmp_path)["all"]["on_8"] == 422.2
    for other in range(2, 10):
        (tmp_path / "b" / f"{other}.json").unlink()
    tmp_path.rename(tmp_path.parent / "studies")
    shown = results.fill("<!--= records a.runs --><!--/-->, <!--= records all.minutes:.0f --><!--/-->", tmp_path.parent)
    assert shown == "<!--= records a.runs -->2<!--/-->, <!--= records all.minutes:.0f -->18<!--/-->"


def test_compare_names_the_numbers_that_differ(published, tmp_path):
    again = json.loads((published / "01_topic.json").read_text())
    again |= {"preset": "standard", "versions": {"torch": "9.9"}}
    results.write_json(published / "01_topic.json", again)
    assert results.compare(published, published) == (["01_topic: 2 of 2 numbers came out as published"], 0)

    other = tmp_path / "again"
    other.mkdir()
    again["metrics"] = {"mse": results.metric(0.031, "MSE"), "colors": results.metric(12345.001, "colours")}
    again["device"] = "cuda (some card)"
    results.write_json(other / "01_topic.json", again)
    results.write_json(other / "11_mine.json", again)  # not published, so not compared
    lines = [
        "01_topic: 1 of 2 numbers came out as published"
        " (here standard, cuda (some card), torch 9.9; there standard, cpu (x86_64), torch 9.9)",
        "  mse is 0.031, published is 0.0275",
    ]
    assert results.compare(str(other), str(published)) == (lines, 0)  # another device explains them


@pytest.mark.parametrize("unit", ["s", "s of one core", "seconds, 200 steps"])
def test_compare_leaves_times_out(published, tmp_path, unit):
    """No run repeats them, so they are no sign of other code."""
    again = json.loads((published / "01_topic.json").read_text())
    again |= {"preset": "standard", "versions": {"torch": "9.9"}}
    for folder, seconds in ((published, 1.0), (tmp_path / "again", 2.0)):
        made = again | {"metrics": again["metrics"] | {"took": results.metric(seconds, unit)}}
        folder.mkdir(exist_ok=True)
        results.write_json(folder / "01_topic.json", made)
    assert results.compare(tmp_path / "again", published) == (["01_topic: 2 of 2 numbers came out as published"], 0)
    assert not results.is_time("share of studies")


@pytest.fixture
def pair(published, tmp_path):
    """Makes the results of another run, on the same machine, with these metrics."""

    def run(**metrics):
        record = json.loads((published / "01_topic.json").read_text())
        record |= {"preset": "standard", "versions": {"torch": "9.9"}}
        results.write_json(published / "01_topic.json", record)
        record["metrics"] = {name: results.metric(value, "") for name, value in metrics.items()}
        results.write_json(tmp_path / "again" / "01_topic.json", record)
        return results.compare(tmp_path / "again", published)

    return run


def test_compare_sees_numbers_that_are_no_longer_made(pair):
    """And new ones, which no published number contradicts."""
    lines, unexplained = pair(mse=0.0275, fresh=3)
    assert lines == [
        "01_topic: 1 of 3 numbers came out as published",
        "  colors is no longer made, published is 12345",
        "  fresh is 3, was not published",
    ]
    assert unexplained == 1


def test_compare_does_not_count_what_is_read_from_records(published, tmp_path):
    record = json.loads((published / "01_topic.json").read_text()) | {"preset": "standard", "versions": {"torch": "9"}}
    record["metrics"]["mse"] |= {"preset": "standard", "device": "CPU"}
    for folder in (published, tmp_path / "again"):
        results.write_json(folder / "01_topic.json", record)
    (line,), _ = results.compare(tmp_path / "again", published)
    assert line == "01_topic: 1 of 1 numbers came out as published; 1 more were read from records"


def test_compare_counts_numbers_that_nothing_explains(pair):
    assert pair(mse=0.0276, colors=12346)[1] == 2
    assert pair(mse=0.0275, colors=12345)[1] == 0
    assert pair(mse=0.0275 * (1 + 1e-7), colors=12345)[1] == 0


def test_numbers_that_are_none_are_the_same_again(pair, published):
    record = json.loads((published / "01_topic.json").read_text())
    record["metrics"] = {"mse": results.metric(math.nan, "")}
    results.write_json(published / "01_topic.json", record)
    assert pair(mse=math.nan)[1] == 0
    assert pair(mse=1)[1] == 1


def test_compare_counts_records_that_do_not_say_which_code_made_them(pair, published):
    for name, record in {"a": {"code": {}}, "b": {}, "c": {"x": 1}}.items():
        results.write_json(published / "studies" / "01_topic" / f"{name}.json", record)
    lines, unexplained = pair(mse=0.0275, colors=12345)
    assert lines[1:] == ["2 of 3 records were made before their code was noted"]
    assert unexplained == 0


@pytest.mark.parametrize(("mse", "status"), [(0.0275, 0), (0.0276, 1)])
def test_the_command_fails_if_a_number_differs_for_no_reason(pair, published, monkeypatch, capsys, mse, status):
    pair(mse=mse, colors=12345)
    repository = published / "repository"
    repository.mkdir()
    (repository / "results").symlink_to(published)
    monkeypatch.setattr(settings, "ROOT", repository)
    assert main(["compare", str(published / "again")]) == status
    printed = capsys.readouterr()
    told = r"numbers that differ on the same [^\n]*: 1, so the code changed\n\([^\n]* bfloat16\)\n" if status else ""
    assert re.fullmatch(told, printed.err)
    assert printed.out.startswith("01_topic: ")


def test_compare_wants_results(published, tmp_path):
    empty = tmp_path / "empty"
    with pytest.raises(FileNotFoundError, match=r"no results in .*empty to compare with those in .*: run `make` first"):
        results.compare(empty, published)


@pytest.mark.parametrize("text", ["", '{"a": 1', '{"a": 1}}', "{'a': 1}", "\udcff"])
def test_broken_json_is_one_sentence(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(results.Broken, match=rf"^{path} is broken, for it is no JSON \([^\n]*\): restore [^\n]*$"):
        results.read_json(path)


@pytest.mark.parametrize("text", ["[1, 2]", "7", "null", '"a"'])
def test_other_json_is_one_sentence(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"^{path} holds a \w+, expected a record: move it elsewhere$") as raised:
        results.read_json(str(path))
    assert not isinstance(raised.value, results.Broken)
    assert path.read_text() == text


def test_paths_may_be_strings(published):
    shown = results.fill("<!--= 01_topic seconds --><!--/-->", str(published))
    assert shown == "<!--= 01_topic seconds -->61<!--/-->"
    path = results.write_json(str(published / "new" / "a.json"), {"x": 1})
    assert results.read_json(path) == {"x": 1}
    options = {"data": "", "device": torch.device("cpu"), "seconds": 1, "metrics": {}}
    assert results.write(str(published), "02_topic", **options) == published / "02_topic.json"
