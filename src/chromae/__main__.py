"""What Chromae does from a shell: `python -m chromae --help` lists it."""

import argparse
import io
import sys
from collections.abc import Callable, Sequence

# Every command imports what it needs when it runs: filming does without torch.
# And what reads notebooks does without 38 grammars of web addresses, which jsonschema would compile in three seconds.
sys.modules.setdefault("rfc3987_syntax", None)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, by default what the shell gives; returns the exit status.

    0: done. 1: it could not be done, and a sentence said why. 2: the arguments are not those of a command. 130: Ctrl-C.
    """
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as end:  # after --help, or a sentence on what was wrong
        return end.code
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # for a heading may hold what a log cannot
    try:
        return options.run(options) or 0
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "chromae":
            raise
        print(f"{error}: it comes with `pip install 'chromae[notebooks]'`", file=sys.stderr)
        return 1
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        print(error.args[0] if type(error) is KeyError else error, file=sys.stderr)  # which as text stands in quotes
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser("python -m chromae", description="Chromae, a lab for colour and representation learning.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(run: Callable, about: str) -> argparse.ArgumentParser:
        added = commands.add_parser(run.__name__[1:], help=about, description=f"{about[0].upper()}{about[1:]}.")
        added.set_defaults(run=run)
        return added

    command(_data, "fetch MNIST and CIFAR-10 into data/, or the folder that CHROMAE_DATA names")
    film = command(
        _film, "film a folder of frames, at its frame rate of before; a film newer than they are is left as it is"
    )
    film.add_argument("frames", metavar="FOLDER", help="PNGs, filmed in the order of their numbers")
    film.add_argument("film", metavar="FILM.mp4", help="the film to make of them")
    run = command(_run, "run notebooks in their own places, as `make notebooks` does, or into copies")
    run.add_argument("notebooks", metavar="NOTEBOOK", nargs="+", help="what to run, one after the other")
    run.add_argument("--to", metavar="FOLDER", help="leave them as they are, and write copies to this folder")
    shapes = command(_shapes, "save drawn shapes as PNGs, with their true factors")
    shapes.add_argument("folder", metavar="FOLDER", help="where to")
    shapes.add_argument("count", metavar="COUNT", type=_count, help="how many, 1 or more")
    compare = command(_compare, "which numbers of a run came out as published, and which did not")
    about = "results of a run, by default build/results, where `make` leaves them"
    compare.add_argument("folder", metavar="FOLDER", nargs="?", help=about)
    verify = command(_verify, "whether published numbers come out again: a notebook's, or those of records made anew")
    which = verify.add_mutually_exclusive_group(required=True)
    which.add_argument("--notebook", metavar="NUMBER", help="run this notebook, such as 08")
    which.add_argument("--records", metavar="COUNT", type=_count, help="make so many records anew, drawn at random")
    verify.add_argument(
        "--seed", metavar="SEED", type=_natural, help="with which to draw the records, to draw the same"
    )
    verify.add_argument("--minutes", metavar="MINUTES", type=_count, help="draw only records that took no longer")
    site = command(_site, "make a gallery that opens from disk: explorers, notebooks, films; trains nothing")
    site.add_argument("folder", metavar="FOLDER", nargs="?", default="site", help="where to, by default site")
    command(_readme, "renew the numbers in README.md and RESULTS.md from results/, and the moving picture")
    command(_env, "what to paste into a report: versions, device, folders")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is no count, expected 1 or more, below 2³¹")
    return int(text)


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no seed, expected 0 or more")
    return int(text)


def _data(options: argparse.Namespace) -> None:
    from tqdm import tqdm

    from chromae.datasets import downloads

    for name in tqdm(downloads.SOURCES, desc="data", unit="set"):
        downloads.load(name)


def _film(options: argparse.Namespace) -> None:
    from chromae.figures import frames

    if frames.film_again(options.frames, options.film):
        print(options.film)


def _run(options: argparse.Namespace) -> None:
    from chromae.running import books

    books.run(options.notebooks, options.to)


def _shapes(options: argparse.Namespace) -> None:
    from torch import Generator

    from chromae.datasets import sprites

    sprites.save(sprites.factors(options.count, Generator().manual_seed(0)), options.folder)


def _compare(options: argparse.Namespace) -> int:
    from chromae import settings
    from chromae.records import results

    lines, unexplained = results.compare(options.folder or settings.ROOT / "build/results", settings.ROOT / "results")
    print(*lines, sep="\n")
    if unexplained:
        told = f"numbers that differ on the same preset, device and torch: {unexplained}, so the code changed"
        print(told, _unless_named_alike(), sep="\n", file=sys.stderr)
    return 1 if unexplained else 0


def _verify(options: argparse.Namespace) -> int:
    from chromae import files, settings
    from chromae.running import verify

    if options.notebook is not None and (options.seed, options.minutes) != (None, None):
        raise ValueError("--seed and --minutes choose records, and --notebook runs all of one: leave them out")
    if not any((settings.ROOT / "notebooks").glob("*.ipynb")):
        raise ValueError(f"{settings.ROOT} is no clone of the repository: it has no notebooks")
    # Another process that verifies would empty the copy that both run in.
    with files.alone(settings.ROOT / "build" / "verifying", "verifying by means of"):
        if options.notebook is not None:
            lines, out = verify.notebook(options.notebook)
        else:
            lines, out = verify.records(options.records, options.seed, options.minutes)
    print(*lines, *([_unless_named_alike()] if out else []), f"numbers that fell out: {out}", sep="\n")
    return 1 if out else 0


def _unless_named_alike() -> str:
    """What else than code makes numbers differ: processors of one name, some of which multiply in bfloat16."""
    import torch

    from chromae import settings

    bf16 = "with" if settings.has_bf16(settings.device()) else "without"
    has = f"this one has {torch.backends.cpu.get_cpu_capability()}, {bf16} bfloat16"
    return f"(processors of the same name may compute otherwise: {has})"


def _site(options: argparse.Namespace) -> None:
    from chromae.explorer import site

    print(site.build(options.folder))


def _readme(options: argparse.Namespace) -> None:
    from chromae import files, settings
    from chromae.figures import previews
    from chromae.records import results

    paths = [settings.ROOT / name for name in ("README.md", "RESULTS.md")]
    if missing := [path.name for path in paths if not path.exists()]:
        raise ValueError(f"{settings.ROOT} is no clone of the repository: it has no {' and no '.join(missing)}")
    filled = {
        path: results.fill(path.read_text(encoding="utf-8"), settings.ROOT / "results", path.name == "RESULTS.md")
        for path in paths
    }
    for path, text in filled.items():
        with files.replacing(path) as part:
            part.write_text(text, encoding="utf-8")
    film, hero = (settings.ROOT / "images" / name for name in ("color_mse.mp4", "hero.webp"))
    if film.exists():  # slow enough to do no harm: three frames a second
        previews.preview(film, hero, width=640, every=1, last=12, fps=3)


def _env(options: argparse.Namespace) -> None:
    from chromae.records import environment

    print(*environment.report(), sep="\n")


if __name__ == "__main__":
    sys.exit(main())
