// What the reader sets beside a map: background, classes, the plane, the numbers off the plane, the epoch.
import { node, choice, checkbox } from "./dom.js";
import { along, basisVector, besidePlane, innerProduct, minus } from "./planes.js";
import { short } from "./words.js";

const PANE_WORDS = ["decoded", "nearest real", "nearest, decoded"];
const GROUND_WORDS = {
  plane: "decoded plane", lattice: "lattice of decodes", pictures: "real images at their codes", plain: "plain scatter",
};
const AXES_WORDS = {
  pca: "principal directions", dims: "two latents", three: "three real images", local: "where the picture changes most",
};

export function backgroundSettings(scene, store) {
  const decodes = scene.models.some((model) => model.decoder);
  const options = scene.offers.ground.map((name) => [name, GROUND_WORDS[name]]);
  const dots = checkbox("dots", store, "dots");
  const show = () => (dots.firstChild.disabled = store.get("ground") === "pictures");
  store.on("ground", show);
  show();
  const holes = checkbox("hatch where no data is near", store, "holes");
  holes.append(node("span", { className: "hatch" }));
  const background = choice("Background", options, store, "ground");
  return node("div", { className: "fields" }, background, dots, holes, decodes ? shownSettings(store) : null);
}

function shownSettings(store) {
  const button = (words, i) => node("button", { type: "button", onclick: () => flip(store, "show", i) }, words);
  const buttons = PANE_WORDS.map(button);
  pressedBy(buttons, store, "show", (on) => on);
  const words = "Pictures beside the map";
  return node("span", { role: "group", "aria-label": words, className: "field" }, "Show ", ...buttons);
}

function flip(store, name, index) {
  const now = store.get(name);
  store.set(name, now.includes(index) ? now.filter((it) => it !== index) : [...now, index].sort((a, b) => a - b));
}

function pressedBy(buttons, store, name, shows) {
  const show = () => {
    const now = store.get(name);
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", shows(now.includes(i))));
  };
  store.on(name, show);
  show();
}

// One button for every class, pressed while its dots are shown.
export function legend(scene, store) {
  if (!scene.classes.length) return null;
  const counts = scene.classes.map((_, i) => scene.labels.filter((label) => label === i).length);
  const buttons = scene.classes.map((name, i) => {
    const chip = node("span", { className: "chip", style: `background: rgb(${scene.colors[i].join()})` });
    const onclick = () => flip(store, "hide", i);
    return node("button", { type: "button", className: "class", title: `${counts[i]} images`, onclick }, chip, name);
  });
  pressedBy(buttons, store, "hide", (hidden) => !hidden);
  const all = node("button", { type: "button", onclick: () => store.set("hide", []) }, "all");
  const hideAll = () => store.set("hide", scene.classes.map((_, i) => i));
  const none = node("button", { type: "button", onclick: hideAll }, "none");
  return node("div", { role: "group", "aria-label": "Classes shown", className: "legend" }, ...buttons, all, none);
}

export function epochSlider(scene, store) {
  const last = scene.epochs.length - 1;
  if (last < 1) return null;
  const range = node("input", { type: "range", min: 0, max: last, step: 1 });
  const words = node("output", {});
  const tell = (epoch) => {
    const text = `${scene.epochs[Math.min(epoch, last)]} of ${scene.epochs[last]}`;
    words.textContent = text;
    range.setAttribute("aria-valuetext", `epoch ${text}`);
  };
  const show = () => tell((range.value = store.get("epoch")));
  // From epoch to epoch a whole plane may change its colour: three times a second at most, once if motion is unwanted.
  const wait = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1000 : 334;
  let [setAt, timer] = [-Infinity, 0];
  const set = () => {
    setAt = performance.now();
    store.set("epoch", Number(range.value));
  };
  range.addEventListener("input", () => {
    tell(Number(range.value));
    clearTimeout(timer);
    timer = setTimeout(set, Math.max(0, setAt + wait - performance.now()));
  });
  store.on("epoch", show);
  show();
  return node("label", { className: "field wide" }, "Epoch ", range, " ", words);
}

// For codes of more than two numbers: which plane, and what it needs. `leading()` is the view under the finger.
export function planeSettings(scene, store, leading, chosen) {
  if (scene.models.every((model) => model.size === 2)) return null;
  const options = scene.offers.axes.map((name) => [name, AXES_WORDS[name]]);
  const sizes = scene.models.map((model) => model.size);
  const dims = ["across", "up"].map((words, k) => {
    const option = (_, i) => node("option", { value: i }, `latent ${i + 1}`);
    const latents = Array.from({ length: Math.min(...sizes) }, option);
    const select = node("select", {}, ...latents);
    select.addEventListener("change", () => {
      const now = [...store.get("dims")];
      if (Number(select.value) === now[1 - k]) now[1 - k] = now[k]; // the same twice would be no plane
      now[k] = Number(select.value);
      store.set("dims", now);
    });
    return { select, label: node("label", { className: "field" }, `${words} `, select) };
  });
  const corners = ["first", "second", "third"].map((words, k) => {
    const take = () => {
      const index = leading().dot;
      if (index < 0) return;
      store.set("three", store.get("three").map((it, i) => (i === k ? index : it)));
      chosen();
    };
    return node("button", { type: "button", onclick: take }, `nearest dot as the ${words}`);
  });
  const here = node("button", { type: "button", onclick: chosen }, "find them again here");
  const parts = { dims: dims.map(({ label }) => label), three: corners, local: [here], pca: [] };
  const show = () => {
    for (const [kind, elements] of Object.entries(parts)) {
      for (const it of elements) it.hidden = store.get("axes") !== kind;
    }
    dims.forEach(({ select }, k) => (select.value = store.get("dims")[k]));
  };
  store.on("axes", show);
  store.on("dims", show);
  show();
  const planes = choice("The map's plane", options, store, "axes");
  planes.addEventListener("change", chosen);
  return node("div", { className: "fields" }, planes, ...Object.values(parts).flat());
}

// Sliders for what the plane leaves out: the latents beside the two shown if they are few, else what the principal
// directions have beside the plane. None of them moves the finger on the map.
export function restSliders(store, leading, move) {
  const note = node("p", { className: "faint" });
  const list = node("div", { className: "sliders" });
  const details = node("details", {}, node("summary", {}, "The other numbers"), note, list);
  let plane = null;
  let sliders = [];
  const build = (view) => {
    if (plane === view.plane) return;
    plane = view.plane;
    const { space } = view;
    const axes = store.get("axes");
    const latents = axes === "dims" && space.size <= 20;
    const candidates = latents ? space.center.map((_, i) => basisVector(space.size, i)) : space.axes;
    const from = latents ? space.center.map(() => 0) : space.center;
    note.hidden = latents || axes === "pca";
    note.textContent = "Principal directions, each without what the map and the sliders before it have of it.";
    sliders = besidePlane(plane, candidates).flatMap((direction, i) => {
      if (!direction) return [];
      const middle = latents ? space.center[i] : 0;
      const reach = 3.5 * spreadAlong(space, direction) || 1;
      const range = node("input", { type: "range", min: middle - reach, max: middle + reach, step: "any" });
      const value = node("span", { className: "faint" });
      range.addEventListener("input", () => {
        const { z } = leading();
        move(along(z, direction, Number(range.value) - innerProduct(minus(z, from), direction)));
      });
      const words = latents ? `latent ${i + 1}` : `principal direction ${i + 1}`;
      const label = node("label", { className: "field wide" }, `${words} `, range, value);
      return [{ range, value, direction, from, label }];
    });
    list.replaceChildren(...sliders.map(({ label }) => label));
  };
  return {
    element: details,
    show(view) {
      details.hidden = view.space.size < 3;
      if (details.hidden) return;
      build(view);
      for (const { range, value, direction, from } of sliders) {
        const now = innerProduct(minus(view.z, from), direction);
        if (document.activeElement !== range || Math.abs(now - range.value) > 1e-4) range.value = now;
        value.textContent = short(now);
        range.setAttribute("aria-valuetext", short(now));
      }
    },
  };
}

// The standard deviation of codes along a direction, from the principal ones.
function spreadAlong(space, direction) {
  return Math.hypot(...space.axes.map((axis, k) => innerProduct(axis, direction) * space.spread[k]));
}
