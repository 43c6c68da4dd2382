// A path on the map: drawn by hand or from point to point, and played at an even speed of the picture.
import { node, gently, nextFrame } from "./dom.js";
import { evenPath, simplified } from "./paths.js";

const STEPS = 240; // from one end to the other
const SECONDS = 8;
const CORNERS_KEPT = 60; // of a drawn path, at most: they stand in the address

// `leading()` is the view under the finger, `preview(z)` shows a code without keeping it, `keep(z)` keeps it.
export function journey(store, leading, preview, keep, signal) {
  const words = node("output", { "aria-live": "polite", className: "faint" });
  const tell = (text) => (words.textContent = text);
  const button = (text, act) => node("button", { type: "button", onclick: act }, text);
  const draw = button("Draw a path on the map", () => trace(!tracing));
  const add = button("Add this point", () => addPoint());
  const play = button("Play", () => (turn ? pause() : start()));
  const clear = button("Clear the path", () => store.set("path", []));
  const loop = node("input", { type: "checkbox", checked: true });
  let tracing = false;
  let turn = null; // of what plays now
  let found = null; // the even steps, for `made` corners
  let at = 0; // seconds into the path

  function trace(on) {
    tracing = on;
    draw.setAttribute("aria-pressed", on);
    if (!on) return;
    tell("Drag over the map.");
    leading().map.element.scrollIntoView({ block: "nearest" });
  }

  function addPoint() {
    const view = leading();
    const [a, b] = view.place.map((value) => Number(value.toPrecision(5)));
    const [x, y] = store.get("path").slice(-2);
    if (a === x && b === y) return tell("The path ends here already: move first.");
    store.set("path", [...store.get("path"), a, b]);
    tell(`The path has ${store.get("path").length / 2} points.`);
  }

  function pause() {
    turn = null;
    play.textContent = "Play";
    if (leading().z) keep(leading().z);
  }

  async function start() {
    const view = leading();
    const decoder = view.space.decoder(view.epoch);
    if (!decoder) return tell("This model decodes nothing: move on the other map first.");
    const mine = (turn = {});
    const wanted = () => turn === mine && !signal?.aborted;
    play.textContent = "Pause";
    const corners = pairs(store.get("path"));
    const key = JSON.stringify([corners, view.epoch, view.space.name, view.sliceKey]);
    if (found?.key !== key) {
      tell("Measuring the path in the picture …");
      const seen = { key };
      const base = view.z;
      const codeAt = (place) => view.codeFrom(base, place);
      const pictureAt = (place) => decoder.run(Float32Array.from(codeAt(place)));
      if (!(await gently(evenPath(corners, pictureAt, STEPS, seen), wanted))) return;
      seen.codes = seen.places.map(codeAt);
      [found, at] = [seen, 0];
    }
    tell("Playing at even steps of the picture.");
    let last = performance.now();
    while (wanted()) {
      preview(found.codes[stepAt(at, loop.checked)]);
      if (!loop.checked && at >= SECONDS) break;
      await nextFrame();
      const now = performance.now();
      at += Math.min(0.1, (now - last) / 1000);
      last = now;
    }
    if (turn !== mine) return;
    at = 0;
    tell("The end of the path.");
    pause();
  }

  const show = () => {
    const length = store.get("path").length;
    play.disabled = length < 4;
    clear.disabled = length < 2;
    if (turn) pause();
  };
  store.on("path", show);
  show();
  signal?.addEventListener("abort", () => (turn = null));
  return {
    element: node("section", {}, node("h2", {}, "A path"), node("div", { className: "fields" }, draw, add, play, clear,
      node("label", { className: "field" }, loop, " to and fro")), words),
    tracing: () => tracing,
    pause: () => turn && pause(),
    trace(places, done, box) {
      let tolerance = 0.006 * Math.hypot(box[1][0] - box[0][0], box[1][1] - box[0][1]);
      let scaled = simplified(places, tolerance);
      while (scaled.length > CORNERS_KEPT) scaled = simplified(places, (tolerance *= 1.4));
      const rounded = scaled.flat().map((value) => Number(value.toPrecision(4)));
      if (done) {
        trace(false);
        if (rounded.length >= 4) store.set("path", rounded); // else the one of before stays
        tell(rounded.length < 4 ? "That was a point: drag to draw a path." : "The path is drawn: play it.");
      }
      return done ? rounded : places.flat();
    },
  };
}

export function pairs(flat) {
  return Array.from({ length: Math.floor(flat.length / 2) }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);
}

// To the end and back again, without a jump; or to the end only.
function stepAt(seconds, back) {
  const part = back ? 1 - Math.abs(1 - ((seconds / SECONDS) % 2)) : Math.min(1, seconds / SECONDS);
  return Math.round(part * (STEPS - 1));
}
