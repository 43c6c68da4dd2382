"""The gallery: every notebook, film, figure and explorer on pages that open from disk, light or dark."""

import importlib
import re
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import imageio.v3 as iio

from chromae import settings
from chromae.explorer import exhibits, page
from chromae.figures import previews
from chromae.records import results

MARKER = "made-by-chromae"  # lies in a site of ours, which may be replaced
INTRO = (
    "A notebook-driven lab for colour and representation learning. Touch the explorers, watch the films, read the "
    "notebooks: every number comes from a run that can be repeated."
)
# Films: what they are called, what they ask, and what one sees.
FILMS = {
    "color_mse": ("One line, moved", "Why did the film flicker?", "Left as published, right with the line moved: "
                  "{01_color_autoencoder metrics.frame_change_as_published:.1f} against "
                  "{01_color_autoencoder metrics.frame_change_fixed:.2f} of 255 from frame to frame."),
    "color_triplet": ("The same with a triplet loss", "Is it the loss?", "No: the same line, the same flicker, MSE "
                      "{01_color_autoencoder metrics.mse_triplet_fixed:.4f} once repaired."),
    "color_fold": ("A sheet that folds", "Can three numbers fit into two?", "A sheet of two numbers crumples until it "
                   "errs by {02_color_questions metrics.best_smooth_mse.value:.4f}."),
    "digits_plane": ("Digits find their places", "What do two numbers hold of a digit?",
                     "Enough that 15 neighbours name the class of "
                     "{03_digits_autoencoder metrics.film_knn_accuracy_z2:.2f} of them."),
    "vae_plane": ("A plane under a prior", "What does the KL term change?", "Clouds gather around it: "
                  "{04_digits_vae metrics.film_bce_neg_elbo_z2:.1f} nats a digit."),
    "photos_sharpen": ("Photos sharpen", "What do 64 numbers keep of a photo?", "Left the published network cut to 64, "
                       "then ours; one of its kind, trained longer, reaches an MSE of "
                       "{05_photos_autoencoder metrics.best_64_test_mse:.4f}."),
    "photos_colored": ("Colour arrives", "What colour was this grey photo?", "A guess gets better, to a chroma MSE of "
                       "{06_colorization metrics.without_eyes_chroma_mse:.5f}, and stays beige where it cannot know."),
    "shapes_walk": ("From shape to shape", "What lies between two codes?", "Shapes, for most of the way; codes err "
                    "by {07_shapes_autoencoder metrics.val_mse:.5f}."),
    "shapes_by_color": ("Sorting by colour", "What do crops keep?", "Colour: "
                        "{08_shapes_contrastive metrics.infonce_crop_color_knn5:.2f} of nearest neighbours share it."),
    "shapes_by_form": ("Sorting by form", "What do crops in other colours keep?", "Form: "
                       "{08_shapes_contrastive metrics.infonce_recolor_shape_knn5:.2f} of neighbours share it."),
    "palette_forms": ("Six colours learn to decide", "Can few colours excite a neuron?", "They can: a logit of "
                      "{09_palette_excitation metrics.annealed_strict:.1f} once every pixel has decided."),
    "pen_plot": ("A plotter draws it", "How much ink is that?", "{10_pen_plot metrics.plot_pen_down:.1f} m."),
    "strokes": ("Strokes find their places", "Can the lines themselves learn?", "They can: "
                "{11_strokes metrics.strokes_used:.0f} of them lift a neuron's logit to "
                "{11_strokes metrics.strict_daisy:.1f}."),
}  # fmt: skip


class Tile(NamedTuple):
    """One thing in the gallery."""

    title: str
    question: str
    answer: str
    poster: str
    link: str = ""
    film: str = ""


def build(folder: str | Path = "site") -> Path:
    """Make the whole gallery in a hidden folder beside `folder`, then put it in its place; returns its index.

    Trains nothing. An explorer whose weights or data are not there is left out, and a line says so. Raises ValueError
    if `folder` holds something else, and outside of a clone, which alone has the notebooks; ImportError without
    nbconvert, which comes with Jupyter.
    """
    importlib.import_module("nbconvert")  # before any work: only notebooks need it, and jinja2, which comes with it

    folder = Path(folder).resolve()  # a link stays a link
    if folder.exists() and not (folder / MARKER).exists():
        raise ValueError(f"folder is {folder}, which exists and is no gallery of ours: remove it, or name another")
    if not (settings.ROOT / "notebooks").is_dir():
        raise ValueError(f"{settings.ROOT} is no clone of the repository, which alone holds notebooks to show")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".site-") as hidden:
        made = Path(hidden) / "site"
        for part in ("notebooks", "images", "explorers"):
            (made / part).mkdir(parents=True)
        (made / MARKER).write_text("python -m chromae site\n")
        sections = [
            ("Touch", _explorers(made)), ("Read", _notebooks(made)), ("Watch", _films(made)),
        ]  # fmt: skip
        credits = [exhibits.MNIST, exhibits.CIFAR, "Chromae: MIT licence."]
        fields = {"title": "Chromae", "intro": INTRO, "sections": sections, "credits": credits}
        (made / "index.html").write_text(_rendered(fields), encoding="utf-8")
        _replaced(folder, made, Path(hidden) / "before")
    return folder / "index.html"


def _replaced(folder: Path, made: Path, aside: Path) -> None:
    """What was made, in the place of what is there, which stays there if that fails."""
    try:
        if folder.exists():
            folder.rename(aside)
        made.rename(folder)
    except BaseException:
        if aside.exists() and not folder.exists():
            aside.rename(folder)
        raise


def _rendered(fields: dict[str, object]) -> str:
    import jinja2  # with nbconvert, which only notebooks need

    template = (page.HERE / "site.html").read_text(encoding="utf-8")
    style = (page.HERE / "style.css").read_text(encoding="utf-8")
    return jinja2.Environment(autoescape=False).from_string(template).render(style=style, **fields)


def _filled(text: str) -> str:
    """A sentence in which {FILE KEY:FORMAT} is a number from results/, as in README's marks."""
    marked = re.sub(r"\{(\w+ [^}]+)\}", r"<!--= \1 --><!--/-->", text)
    return re.sub(r"<!--.*?-->", "", results.fill(marked, settings.ROOT / "results"))


def _explorers(made: Path) -> list[Tile]:
    tiles = []
    for one in exhibits.EXHIBITS:
        poster = made / "images" / f"{Path(one.file).stem}.png"
        try:
            iio.imwrite(poster, one.poster())
            one.write(made / "explorers" / one.file)
        except (ValueError, ConnectionError, FileNotFoundError) as error:
            print(f"{one.file} is left out: {error}")
            continue
        _linked(made / "explorers" / one.file, one.notebook)
        answer, link = _filled(one.answer), f"explorers/{one.file}"
        tiles.append(Tile(one.title, one.question, answer, f"images/{poster.name}", link))
    return tiles


def _linked(path: Path, notebook: str) -> None:
    """The page with a way back to the gallery and one to its notebook, which a page of its own has not."""
    begins = '<main id="view">'
    links = f'<a href="../index.html">← the gallery</a> · <a href="../notebooks/{notebook}.html">its notebook</a>'
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(begins, f"<nav>{links}</nav>\n{begins}", 1), encoding="utf-8")


def _notebooks(made: Path) -> list[Tile]:
    readme = re.sub("<!--.*?-->", "", (settings.ROOT / "README.md").read_text(encoding="utf-8"))  # its marks
    tile = r"\*\*\[(\d\d [^]]+)\]\(notebooks/(\w+)\.ipynb\)\*\*[^<]*<br>(.*?)<br>(.*?)(?= \||$)"
    tiles = []
    for title, name, question, answer in re.findall(tile, readme, re.MULTILINE):
        (made / "notebooks" / f"{name}.html").write_text(_notebook(name, title), encoding="utf-8")
        _copied(f"{name}.webp", made)
        tiles.append(Tile(title, question, re.sub("[`*]", "", answer), f"images/{name}.webp", f"notebooks/{name}.html"))
    return tiles


def _notebook(name: str, title: str) -> str:
    """A notebook as a page: nbconvert's body in our frame, its links to what the gallery has."""
    from nbconvert.exporters import HTMLExporter  # a part of Jupyter, which only notebooks need
    from nbconvert.filters import Highlight2HTML
    from pygments.formatters import HtmlFormatter

    colored, code = Highlight2HTML(), []

    def later(source, metadata=None):  # nbconvert parses the whole page once more, which coloured code makes slow
        code.append(colored(source, metadata=metadata))
        return f"<!--code {len(code) - 1}-->"

    urls = {"mathjax_url": "", "require_js_url": "", "mermaid_js_url": ""}
    trusted = {"clean_html": lambda html: html}  # our own cells come out as they went in, and that takes half the time
    exporter = HTMLExporter(template_name="basic", filters=trusted | {"highlight_code": later}, **urls)
    body, _ = exporter.from_filename(str(settings.ROOT / "notebooks" / f"{name}.ipynb"))
    body = re.sub(r"<!--code (\d+)-->", lambda found: code[int(found[1])], body)
    body = re.sub(r"<script\b.*?</script>|<style\b.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r'href="(?:\./)?(\d\d_\w+)\.ipynb', r'href="\1.html', body)
    body = re.sub(r'href="\.\./(?:README|RESULTS)\.md[^"]*"', 'href="../index.html"', body)
    body = re.sub(r"<video ", '<video preload="none" ', body.replace(" autoplay", ""))
    body = body.replace("<pre>", '<pre tabindex="0">')  # wide lines are scrolled, by keys, too
    light, dark = (HtmlFormatter(style=style).get_style_defs(".chromae .highlight") for style in ("default", "monokai"))
    colors = f"<style>{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}</style>"
    return _rendered({"title": f"{title} · Chromae", "body": colors + body})


def _films(made: Path) -> list[Tile]:
    """Every film that is there, its last frame in front."""
    tiles = []
    for name, (title, question, answer) in FILMS.items():
        film = settings.ROOT / "images" / f"{name}.mp4"
        if film.exists():
            _copied(film.name, made)
            poster = made / "images" / f"{name}.jpg"
            poster.write_bytes(previews.strip(film, count=1, width=640))
            tiles.append(Tile(title, question, _filled(answer), f"images/{poster.name}", film=f"images/{film.name}"))
    return tiles


def _copied(name: str, made: Path) -> None:
    source = settings.ROOT / "images" / name
    if source.exists() and not (made / "images" / name).exists():
        shutil.copyfile(source, made / "images" / name)
