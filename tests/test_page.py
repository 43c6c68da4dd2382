"""Pages of one file: modules become one script, and nothing in a scene can end it early."""

import re

import pytest
from browser import Watched, chromium

from chromae.explorer import page

MODULES = sorted(path.stem for path in page.HERE.glob("*.js"))
ENTRIES = {"explore", "lab", "plot"}  # each mounts a page of its own, so they share a name


def test_no_two_modules_share_a_top_level_name():
    owners = {}
    for module in MODULES:
        source = (page.HERE / f"{module}.js").read_text(encoding="utf-8")
        assert source.startswith("// "), f"{module}.js does not say what it holds"
        assert "export default" not in source
        for name in re.findall(r"^(?:export )?(?:async )?(?:function\*?|const|let|class) (\w+)", source, re.MULTILINE):
            if name not in ("mount", "allowed"):  # one of a page
                assert owners.setdefault(name, module) == module, f"{name} is in {owners[name]} and in {module}"
        assert ("export function mount(" in source or "export async function mount(" in source) == (module in ENTRIES)


@pytest.mark.parametrize("module", MODULES)
def test_a_bundle_has_no_imports_and_what_it_needs_before_it(module):
    script = page.bundle(module, "open")
    assert not re.search(r"^(import|export) ", script, re.MULTILINE)
    order = re.findall(r"^// (\w+)\.js$", script, re.MULTILINE)
    assert len(order) == len(set(order))
    for name in order:
        for needed in page.IMPORT.findall((page.HERE / f"{name}.js").read_text(encoding="utf-8")):
            assert order.index(needed) < order.index(name)


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"^name is 'mirror', but there is no mirror.js in "):
        page.bundle("mirror")
    with pytest.raises(ValueError, match="Out of range float"):
        page.document("lab", {"state": {}, "title": "", "intro": [], "note": "", "x": float("nan")}, title="x")


def test_text_and_bytes_arrive_as_they_were(tmp_path):
    """Whatever the scene says, and however many bytes, it is data and no markup."""
    evil = "</script><script>window.evil = true</script> <!-- & é “ \\u003c"
    scene = {"title": evil, "intro": [evil], "note": "", "state": {}}
    for blob in (b"", b"x", bytes(range(256)) * 3, b"\x00\xff" * 7 + b"!"):
        path = page.save(tmp_path / "page.html", "plot", scene | {"alt": "", "pens": []}, blob, title=evil)
        text = path.read_text(encoding="utf-8")
        text = text.replace("openPage(mount, allowed);", "window.got = [];\nopenPage(look, allowed);")
        look = "function look(root, scene, blob) { window.got = [scene.title, Array.from(new Uint8Array(blob))]; }\n"
        path.write_text(text.replace("window.got = [];", look), encoding="utf-8")
        with chromium() as browser:
            watched = Watched(browser)
            opened = watched.open(path)
            opened.wait_for_function("() => window.got?.length === 2")
            assert opened.evaluate("window.got") == [evil, list(blob)]
            assert opened.title() == evil
            assert opened.evaluate("window.evil") is None
            assert watched.errors == []
            assert watched.requests == []
