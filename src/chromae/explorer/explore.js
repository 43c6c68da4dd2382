// The explorer: a finger on the latent map, and what a network makes of it, beside the data that it learnt from.
import { node, oncePerFrame } from "./dom.js";
import { journey, pairs } from "./journey.js";
import { drawingPad } from "./pad.js";
import { backgroundSettings, epochSlider, legend, planeSettings, restSliders } from "./settings.js";
import { readPictures, readSpace } from "./space.js";
import { modelView } from "./view.js";
import { hexColor } from "./words.js";

// What an address may say: only what the page could have been set to.
export function allowed(scene) {
  const number = (value, below) => Number.isInteger(value) && value >= 0 && value < below;
  const some = (values, below) => values.every((it) => number(it, below));
  const numbers = (values, count, below) => values.length === count && some(values, below);
  const smallest = Math.min(...scene.models.map((model) => model.size));
  return {
    model: (value) => number(value, scene.models.length),
    epoch: (value) => number(value, scene.epochs.length),
    dims: (values) => numbers(values, 2, smallest) && values[0] !== values[1],
    three: (values) => numbers(values, 3, scene.count),
    ground: (value) => scene.offers.ground.includes(value),
    axes: (value) => scene.offers.axes.includes(value),
    hide: (values) => some(values, scene.classes.length),
    show: (values) => some(values, 3),
    path: (values) => values.length % 2 === 0,
    at: (values) => values.length === 0 || scene.models.some((model) => model.size === values.length),
  };
}

export async function mount(root, scene, blob, store, signal) {
  if (!scene.labels.length) scene = { ...scene, labels: new Array(scene.count).fill(0) };
  const pictures = await readPictures(scene, blob);
  if (signal?.aborted) return;
  const spaces = scene.models.map((entry) => readSpace(entry, scene, blob, pictures));
  const hexes = scene.shape.join() === "3,1,1" ? ownColors(scene, pictures) : null;
  const tints = scene.colors.map((color) => `rgb(${color.join()})`);
  const shared = {
    scene, pictures, store, signal, shown: shownDots(scene, store), hexOf: hexes && ((n) => hexes[n]),
    colorOf: (n) => hexes?.[n] ?? tints[scene.labels[n]],
  };
  let sketched = null; // what the reader drew: { values, image }
  let trail = null; // a path while it is drawn
  let fleeting = null; // a code shown while a path plays

  const move = (index, z) => {
    path.pause();
    fleeting = null;
    if (index !== store.get("model")) store.set("model", index);
    store.set("z", z.map((value) => Number(value.toPrecision(7))));
  };
  const views = spaces.map((space, index) => modelView(space, shared, {
    move: (z) => move(index, z),
    trace: (places, done) => {
      trail = path.trace(places, done, views[index].box);
      if (done) trail = null;
      if (index !== store.get("model")) lead(index);
      refresh();
    },
    tracing: () => path.tracing(),
    refresh: () => refresh(),
  }));
  const leading = () => views[store.get("model")] ?? views[0];
  const lead = (index) => move(index, views[index].z);
  const keep = (z) => {
    fleeting = null;
    store.set("z", z.map((value) => Number(value.toPrecision(7))));
  };
  const path = journey(store, leading, (z) => update((fleeting = z)), keep, signal);
  const sliders = restSliders(store, leading, (z) => move(views.indexOf(leading()), z));

  // The view under the finger shows its code; another model shows its own code of what the first one decodes.
  function update() {
    const first = leading();
    if (store.get("axes") === "local" && store.get("at").length !== first.space.size) fromHere();
    const z = fleeting ?? fitting(store.get("z"), first.space);
    const corners = pairs(trail ?? store.get("path"));
    const picture = first.show(z, { leads: true, path: corners, yours: yours(first) });
    for (const view of views) {
      if (view !== first) view.show(followed(view, first, picture), { leads: false, path: [], yours: yours(view) });
    }
    sliders.show(first);
  }
  const refresh = oncePerFrame(update, signal);

  // Where the picture changes most is asked where the finger is.
  function fromHere() {
    store.set("at", fitting(store.get("z"), leading().space));
  }

  // A plane that the reader has just chosen goes through the three images, or starts where the finger is.
  function ontoPlane() {
    if (store.get("axes") === "local") fromHere();
    if (store.get("axes") !== "three") return;
    update();
    keep(leading().onPlane());
  }

  function followed(view, first, picture) {
    const encoder = view.space.encoder(store.get("epoch"));
    if (picture && encoder) return coded(encoder, channelsFirst(picture, scene.shape), view);
    const near = Math.max(0, first.near.index);
    return view.codeOf(near, Math.min(store.get("epoch"), view.space.epochs - 1));
  }

  function yours(view) {
    const encoder = sketched && view.space.encoder(store.get("epoch"));
    if (!encoder) return null;
    return { image: sketched.image, code: coded(encoder, sketched.values, view) };
  }

  function coded(encoder, values, view) {
    return Array.from(encoder.run(values).slice(0, view.space.size));
  }

  const sketch = (drawn) => {
    sketched = drawn;
    const code = drawn && yours(leading())?.code;
    if (code) move(views.indexOf(leading()), code);
    refresh();
  };
  const encodes = scene.models.some((model) => model.encoder) && scene.shape[1] > 1;
  const decodes = scene.models.some((model) => model.decoder);
  root.replaceChildren(
    node("header", {}, node("h1", {}, scene.title), scene.question ? node("p", {}, scene.question) : null,
      node("p", {}, opening(scene, decodes))),
    legend(scene, store) ?? "", node("div", { className: "models" }, ...views.map((view) => view.element)),
    node("div", { className: "under" }, ...[
      epochSlider(scene, store), backgroundSettings(scene, store), planeSettings(scene, store, leading, ontoPlane),
      sliders.element, node("div", { className: "pair" }, decodes ? path.element : null,
        encodes ? drawingPad(scene.shape, sketch, root, signal) : null),
    ].filter(Boolean)),
    foot(scene, views),
  );
  root.classList.add("explorer");
  for (const name of store.names) store.on(name, refresh);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh, { signal });
  update();
}

// A code of the length that the model has, whatever stands in the address.
function fitting(z, space) {
  return space.center.map((value, i) => (Number.isFinite(z[i]) ? z[i] : value));
}

// Which dots are shown, as bytes; found again when classes are hidden.
function shownDots(scene, store) {
  let key = null;
  let bytes = null;
  return () => {
    const hide = store.get("hide");
    if (key !== String(hide)) {
      key = String(hide);
      bytes = Uint8Array.from(scene.labels, (label) => (hide.includes(label) ? 0 : 1));
    }
    return bytes;
  };
}

// Colours have dots of their own colour.
function ownColors(scene, pictures) {
  const colors = pictures.colors();
  return scene.labels.map((_, n) => hexColor(colors.subarray(3 * n, 3 * n + 3)));
}

// A network's picture has its channels last; an encoder takes them first.
function channelsFirst(values, [channels, height, width]) {
  const pixels = height * width;
  return Float32Array.from(values, (_, i) => values[(i % pixels) * channels + Math.floor(i / pixels)]);
}

// The first thing to know, and the first thing to do.
function opening(scene, decodes) {
  const what = scene.shape[1] * scene.shape[2] === 1 ? "colour" : "image";
  const numbers = scene.models[0].size;
  const place = numbers === 2 ? "at the two numbers that" : `on a plane through the ${numbers} numbers (the code, z) that`;
  const then = decodes
    ? "a network makes of what lies there, even where no real one is: the decoded plane"
    : `lies nearest: alike are the ${what}s that lie close together`;
  return `Each dot is a real ${what}, ${place} a network squeezes it to. Drag over the map to see what ${then}.`;
}

function foot(scene, views) {
  const follows = views.length > 1
    ? "Two models under one finger: move on one map, and the other model shows its own code of the picture that the "
      + "first one decodes (where a page holds no network for that, of the nearest real image). "
    : "";
  const how = "On the map, arrow keys do what dragging does: Shift and Page Up, Page Down, Home and End go further. "
    + "“Looks like” is the label of the nearest code. A distance is usual if half of the real codes lie as near to "
    + "their nearest neighbour; hatches begin where only 1 in 100 lies so far from it.";
  return node("footer", { className: "faint" }, node("p", {}, follows + how),
    ...[...scene.notes, ...scene.credits].map((line) => node("p", {}, line)));
}
