// A plot for several pens: each of them on or off, as large as you like, with what it costs in ink.
import { node } from "./dom.js";

// What an address may say: pens that there are, and a size that the slider has.
export function allowed(scene) {
  return {
    off: (pens) => new Set(pens).size === pens.length && pens.every((pen) => scene.pens[pen]),
    zoom: (times) => times >= 1 && times <= 6,
  };
}

export function mount(root, scene, blob, store, signal) {
  const drawing = new DOMParser().parseFromString(new TextDecoder().decode(blob), "image/svg+xml").documentElement;
  drawing.setAttribute("role", "img");
  drawing.setAttribute("aria-label", scene.alt);
  for (const name of ["width", "height"]) drawing.removeAttribute(name);
  const layers = scene.pens.map((pen) => drawing.querySelector(`#${pen.id}`));
  const says = node("output", { "aria-live": "polite", className: "says" });
  const boxes = scene.pens.map((pen, n) => {
    const box = node("input", { type: "checkbox", onchange: () => toggle(n) });
    const chip = node("span", { className: "chip" });
    chip.style.background = pen.color;
    return { box, label: node("label", { className: "field" }, box, chip, `${pen.name}: ${metres(pen.metres)}, ${pen.strokes.toLocaleString("en")} strokes`) };
  });
  const zoom = node("input", { type: "range", min: 1, max: 6, step: 0.25, oninput: () => store.set("zoom", Number(zoom.value)) });
  const sheet = node("div", { className: "sheet", tabIndex: 0 }, drawing);
  sheet.setAttribute("role", "region");
  sheet.setAttribute("aria-label", "The plot; scroll it when it is enlarged");

  function toggle(n) {
    const off = store.get("off");
    store.set("off", off.includes(n) ? off.filter((it) => it !== n) : [...off, n].sort((a, b) => a - b));
  }

  function show() {
    const off = store.get("off");
    let ink = 0, strokes = 0;
    scene.pens.forEach((pen, n) => {
      const on = !off.includes(n);
      boxes[n].box.checked = on;
      layers[n].style.display = on ? "" : "none";
      if (on) [ink, strokes] = [ink + pen.metres, strokes + pen.strokes];
    });
    says.textContent = `${scene.pens.length - off.length} of ${scene.pens.length} pens: ${metres(ink)} of ink in ${strokes.toLocaleString("en")} strokes.`;
    zoom.value = store.get("zoom");
    drawing.style.width = `${100 * store.get("zoom")}%`;
  }

  root.classList.add("plotter");
  root.append(node("h1", {}, scene.title), ...scene.intro.map((text) => node("p", {}, text)),
    node("div", { className: "fields", role: "group", ariaLabel: "pens" }, ...boxes.map((it) => it.label)),
    node("label", { className: "field wide" }, "enlarge ", zoom), says, sheet,
    node("p", { className: "faint" }, scene.note));
  for (const name of store.names) store.on(name, show);
  show();
}

function metres(length) {
  return `${length.toFixed(1)} m`;
}
