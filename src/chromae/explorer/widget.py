"""The explorer and the colour lab in a notebook: what the reader does there can be read, set and watched in Python."""

import base64
import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float, Num, UInt8
from torch import Tensor, nn

from chromae.arguments.kinds import Count
from chromae.explorer import lab, page, scene, state, still
from chromae.figures import frames
from chromae.models.color_autoencoder import ColorAutoencoder, color_map

GLUE = """
export default {
  async render({ model, el, signal }) {
    const root = document.createElement("section");
    root.className = "chromae";
    root.addEventListener("keydown", (event) => { // for which a notebook has uses of its own: arrows, letters
      if (!event.ctrlKey && !event.altKey && !event.metaKey && event.key !== "Enter") event.stopPropagation();
    }, { signal });
    el.append(root);
    const scene = model.get("scene"), bytes = model.get("blob");
    const blob = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    await mount(root, scene, blob, modelStore(model, Object.keys(scene.state), signal), signal);
  },
};
"""


def explore(
    model: nn.Module | Sequence[tuple[str, nn.Module]],
    data: Num[Tensor, "n *shape"],
    labels: Num[Tensor, " n"] | None = None,
    **options: object,
) -> object:
    """The latent space of a model, or of two, under a finger: a cell's last expression.

    `options` are those of `scene.make`, which says what everything is and what it raises. What comes back is a widget:
    `z`, the code under the finger, can be read, set and observed, as can `epoch`, `path` and all else that the reader
    changes; so can `image`, what the model makes of z, from 0 to 255 with its channels last (set it to a picture, and z
    is that picture's code; None for a model without a decoder), and `picked`, the number of the nearest of the images
    shown, which in `data` is `scene.chosen(len(data))[picked]` (set it to go there; -1 if all are hidden). `film` saves
    the path as an MP4. Where no widget can run, a picture of it stands. Raises ImportError, saying what to install,
    without anywidget.
    """
    made, blob = scene.make(model, data, labels, **options)
    chosen = scene.chosen(len(data), options.get("images", scene.IMAGES), options.get("seed", 0))
    likelihood = options.get("likelihood", "")
    networks = [one.epochs for one in scene.networks(model, options.get("epochs"), likelihood)]
    return _kinds()["explore"](made, blob, networks, data[chosen], likelihood)


def color_lab(**settings: str | float) -> object:
    """The colour lab, in which the autoencoder of 17 numbers trains live, as a widget; `slip="epoch"` sets the slip.

    Its settings can be read, set and observed. Raises ValueError for one that it does not have, for a value that its
    switches do not have, and ImportError as `explore`.
    """
    if unknown := sorted(set(settings) - set(lab.STATE)):
        raise ValueError(f"settings hold {unknown[0]!r}, expected some of {', '.join(lab.STATE)}")
    state = lab.STATE | {name: lab.check(name, value) for name, value in settings.items()}
    return _kinds()["lab"](lab.SCENE | {"state": state}, b"")


@functools.cache
def _kinds() -> Mapping[str, type]:
    """The two classes of widgets, made when the first is asked for: the package itself does without anywidget."""
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise ImportError("a widget needs anywidget: `pip install anywidget`, or use explorer.save_html") from error
    traits = {bool: traitlets.Bool, int: traitlets.Int, float: traitlets.Float, str: traitlets.Unicode}

    class Page(anywidget.AnyWidget):
        """A page's view as a widget, with a trait for everything in the scene's state."""

        _css = (page.HERE / "style.css").read_text(encoding="utf-8")
        scene = traitlets.Dict().tag(sync=True)
        blob = traitlets.Bytes().tag(sync=True)

        def __init__(self, made: Mapping[str, object], blob: bytes):
            state = made["state"].items()
            self.add_traits(**{name: traits.get(type(it), traitlets.List)(it).tag(sync=True) for name, it in state})
            super().__init__(scene=dict(made), blob=blob)

        def _repr_mimebundle_(self, **options: object) -> object:
            """What anywidget shows, and beside it a picture for where no widget can run."""
            bundle = super()._repr_mimebundle_(**options)
            data, about = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
            return data | {"image/png": base64.b64encode(self._still()).decode("ascii")}, about

    class Picture(traitlets.Any):
        """An array or None, whose change is told once: traitlets asks ==, which arrays answer pixel by pixel."""

        def set(self, owner: Page, value: object) -> None:
            found, before = self._validate(owner, value), owner._trait_values.get(self.name)
            owner._trait_values[self.name] = found
            if not np.array_equal(found, before):
                owner._notify_trait(self.name, before, found)

    class Explorer(Page):
        """The latent space of a model, or of two, under a finger."""

        _esm = page.bundle("explore", "store") + GLUE
        picked = traitlets.Int(-1)
        image = Picture()

        def __init__(self, made: Mapping, blob: bytes, networks: list, shown: Tensor, likelihood: str | Sequence[str]):
            self._networks, self._images, self._known = networks, shown, {}
            self._likelihoods = [likelihood] * len(networks) if isinstance(likelihood, str) else list(likelihood)
            super().__init__(made, blob)
            self._see()
            self.observe(lambda _: self._see(), names=["z", "model", "epoch", "hide"])
            self.observe(lambda change: self._go(change["new"]), names=["picked"])

        def film(self, path: str | Path, count: Count = 96, fps: Count = 24) -> Path:
            """Save the path as an MP4 that moves evenly in what one sees; returns the film's path.

            It is `count` frames long, and stays on the last for a second. The frames lie beside it, for "walk.mp4" in a
            folder "walk.mp4.frames".
            Raises ValueError without a path of two points or more, and for a model without a decoder.
            """
            corners = torch.tensor(self.path, dtype=torch.float32).view(-1, 2)
            if len(corners) < 2:
                raise ValueError(f"path has {len(corners)} points, expected two or more: draw one, or set widget.path")
            origin, axes = self._plane()
            z = self._code
            places = z + (corners - (z - origin) @ axes.T) @ axes  # what lies off the plane stays
            parts = torch.linspace(0, 1, 64)[:-1, None]
            fine = [a + parts * (b - a) for a, b in itertools.pairwise(places)]
            pictures = self._decoded(torch.cat([*fine, places[-1:]]))
            folder = frames.clear(Path(path).with_name(f"{Path(path).name}.frames"))
            for number, index in enumerate(still.even(pictures, count)):
                frames.save(still.enlarged(pictures[index]), folder, number + 1)
            return frames.film(folder, path, fps)

        @property
        def _network(self) -> nn.Module:
            epochs = self._networks[self.model]
            return epochs[min(self.epoch, len(epochs) - 1)]

        @property
        def _code(self) -> Float[Tensor, " d"]:
            """z; until it fits a model that was just chosen, what its codes have in the middle stands for the rest."""
            center = self.scene["models"][self.model]["center"]
            return torch.tensor([*self.z, *center[len(self.z) :]][: len(center)], dtype=torch.float32)

        def _codes(self) -> Float[Tensor, "n d"]:
            """Of the images shown, by the model under the finger; found once for each."""
            key = self.model, self.epoch
            if key not in self._known:
                self._known[key] = scene.codes_of(self._network, scene.floats(self._images)).flatten(1)
            return self._known[key]

        def _plane(self) -> tuple[Tensor, Tensor]:
            three = self._codes()[list(self.three)]
            if self.axes == "local" and len(self.at) == len(self._code) > 2:
                at = torch.tensor(self.at)
                return at, still.strongest(lambda z: self._made(still.means, z[None])[0], at)
            return still.plane(self.scene["models"][self.model], self.axes, self.dims, three)

        def _decoded(self, codes: Float[Tensor, "n d"]) -> UInt8[np.ndarray, "n height width channels"]:
            return self._made(still.decoded, codes)

        def _made(self, make: Callable, codes: Float[Tensor, "n d"]) -> Num[np.ndarray | Tensor, "n *_"]:
            if not hasattr(self._network, "decode"):
                raise ValueError(f"model is a {type(self._network).__name__}, which has no decoder")
            shape = scene.codes_of(self._network, scene.floats(self._images[:1])).shape[1:]
            return make(self._network, codes, tuple(shape), self._likelihoods[self.model] or "bernoulli")

        def _see(self) -> None:
            far = (self._codes() - self._code).norm(dim=1)
            if self.scene["labels"]:
                far[torch.isin(torch.tensor(self.scene["labels"]), torch.tensor(self.hide))] = torch.inf
            self._nearest = int(far.argmin()) if far.isfinite().any() else -1
            self.picked = self._nearest
            self._seen = self._decoded(self._code[None])[0] if hasattr(self._network, "decode") else None
            self.image = self._seen

        @traitlets.validate("image")
        def _find(self, proposal: Mapping) -> UInt8[np.ndarray, "height width channels"] | None:
            """What the model makes of a picture's code, to which z goes."""
            picture = proposal["value"]
            if picture is self._seen:
                return picture
            channels, height, width = (*self._images.shape[1:], 1, 1)[:3]
            found = np.asarray(picture)
            if found.shape != (height, width, channels):
                raise ValueError(
                    f"image has the shape {found.shape}, expected ({height}, {width}, {channels}), from 0 to 255"
                )
            if not np.issubdtype(found.dtype, np.integer):
                raise ValueError(f"image holds {found.dtype}, expected integers from 0 to 255")
            if found.min() < 0 or found.max() > 255:
                raise ValueError(f"image runs from {found.min()} to {found.max()}, expected integers from 0 to 255")
            pixels = torch.from_numpy(found.astype(np.float32) / 255).movedim(-1, 0).view(1, *self._images.shape[1:])
            self.z = scene.codes_of(self._network, pixels).flatten().tolist()
            return self._seen

        @traitlets.validate("z")
        def _fits(self, proposal: Mapping) -> list[float]:
            return state.code(proposal["value"], self.scene["models"][self.model]["size"])

        @traitlets.validate(*state.CHOICES)
        def _there(self, proposal: Mapping) -> int | Sequence[int] | str:
            return state.check(proposal["trait"].name, proposal["value"], self.scene)

        @traitlets.validate("picked")
        def _shown(self, proposal: Mapping) -> int:
            index = proposal["value"]
            if index != self._nearest and not 0 <= index < len(self._images):
                raise ValueError(f"picked is {index}, expected the number of an image, 0 to {len(self._images) - 1}")
            return index

        def _go(self, index: int) -> None:
            if index != self._nearest:
                self.z = self._codes()[index].tolist()

        def _still(self) -> bytes:
            origin, axes = still.plane(self.scene["models"][self.model], "pca", self.dims, self._codes()[:3])
            codes, z, picked = self._codes(), self._code, max(0, self.picked)
            near = still.pixels(scene.floats(self._images[picked : picked + 1]).cpu())[0]
            image, what = (self.image, "decoded") if hasattr(self._network, "decode") else (near, "the nearest image")
            colors = np.array(self.scene["colors"])[self.scene["labels"]] / 255
            if self._images.ndim == 2:
                colors = scene.floats(self._images).cpu().numpy()
            places, here = (codes - origin) @ axes.T, ((z - origin) @ axes.T).tolist()
            titles = (str(self.scene["title"]), self.scene["models"][self.model]["name"])
            return still.png(places, colors, here, image, (": ".join(filter(None, titles)), what))

    class Lab(Page):
        """The colour lab."""

        _esm = page.bundle("lab", "store") + GLUE

        @traitlets.validate(*lab.STATE)
        def _there(self, proposal: Mapping) -> str | float:
            return lab.check(proposal["trait"].name, proposal["value"])

        def _still(self) -> bytes:
            figure, axes = plt.subplots(figsize=(3.2, 3.4))
            torch_state = torch.get_rng_state()
            torch.manual_seed(0)
            axes.imshow(color_map(ColorAutoencoder()).numpy())
            torch.set_rng_state(torch_state)
            axes.set_title("the colour lab, before its first epoch", fontsize=9)
            axes.axis("off")
            return still.saved(figure)

    return {"explore": Explorer, "lab": Lab}
