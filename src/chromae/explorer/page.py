"""One self-contained page: scripts, data and weights in one file that opens from disk and asks for nothing."""

import base64
import gzip
import html
import json
import re
from collections.abc import Mapping
from pathlib import Path

from chromae import files

HERE = Path(__file__).parent
IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)
SPACE = re.compile(r"^ *//.*\n|^ +", re.MULTILINE)  # comments on lines of their own, and what indents
EXPORT = re.compile(r"^export (?=(async )?function|const|let|class)", re.MULTILINE)


def bundle(*names: str) -> str:
    """The modules of these names and all that they import, as one script without imports: a page on disk has none.

    All share one scope, so no two modules may have a top-level name in common; a test reads them. What only readers
    need, comments and indents, stays in the files.
    Raises ValueError for a module that is not there.
    """
    parts: dict[str, str] = {}

    def add(module: str) -> None:
        path = HERE / f"{module}.js"
        if not path.is_file():
            raise ValueError(f"name is {module!r}, but there is no {path.name} in {HERE}")
        source = path.read_text(encoding="utf-8")
        for needed in IMPORT.findall(source):
            if needed not in parts:
                add(needed)
        parts[module] = f"// {path.name}\n{SPACE.sub('', EXPORT.sub('', IMPORT.sub('', source)))}"

    for name in names:
        if name not in parts:
            add(name)
    return "\n".join(parts.values())


def document(name: str, scene: Mapping[str, object], blob: bytes = b"", *, title: str) -> str:
    """HTML that mounts the module `name` with what it shows: `mount(root, scene, blob, store, signal)`.

    `scene` is JSON, `blob` the bytes that it points into, and `scene["state"]` what the reader may change, kept in
    the address. The blob is packed, its even bytes before its odd ones, for half-precision numbers have much in common
    in their upper halves: that saves a fifth of a network. Raises ValueError for numbers that JSON lacks, such as NaN.
    """
    data = json.dumps(scene, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    script = bundle(name, "open")
    if "<!--" in script:
        raise ValueError(f"name is {name!r}, whose script holds '<!--', which ends no script but changes how it ends")
    fields = {
        "title": html.escape(title),
        "style": (HERE / "style.css").read_text(encoding="utf-8"),
        "scene": data,
        "blob": base64.b64encode(gzip.compress(blob[0::2] + blob[1::2], mtime=0)).decode("ascii"),
        "script": script.replace("</", "<\\/"),
    }
    template = (HERE / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{ (\w+) \}\}", lambda found: fields[found[1]], template)


def check_path(path: str | Path) -> None:
    """Raises ValueError where no page can be written."""
    if not Path(path).parent.is_dir():
        raise ValueError(f"path is {path}, but there is no folder {Path(path).parent}")
    if Path(path).is_dir():
        raise ValueError(f"path is {path}, a folder, expected a file")


def save(
    path: str | Path, name: str, scene: Mapping[str, object], blob: bytes = b"", *, title: str = "Chromae"
) -> Path:
    """Write `document(…)` to a temporary name first; returns the path."""
    text = document(name, scene, blob, title=title)
    with files.replacing(Path(path)) as part:
        part.write_text(text, encoding="utf-8")
    return Path(path)
