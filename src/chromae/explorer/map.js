// The latent map: a canvas of dots over a ground, with a finger that pointer, touch and keyboard move.
import { node, cssColor } from "./dom.js";
import { boxToUnit, groundCanvas } from "./ground.js";

// `act` has place() of the finger, move(a, b), hover(a, b) or hover(null), tracing() and, while that is so,
// trace(places, done).
export function latentMap(words, act, signal) {
  const canvas = node("canvas", { className: "map", "aria-hidden": "true" });
  const ranges = [0, 1].map(() => node("input", { type: "range", className: "hidden", step: "any" }));
  const group = node("div", { className: "mapbox", role: "group", "aria-label": words }, canvas, ...ranges);
  const layer = { canvas: groundCanvas(1), key: "" }; // the dots, drawn again only when they change
  let state = null;
  expose(ranges, 0);
  listenToKeys(ranges, () => state, act);
  listenToPointer(canvas, () => state, act);
  new ResizeObserver(() => state && paint(canvas, state, layer)).observe(canvas);
  signal?.addEventListener("abort", () => (state = null));
  return {
    element: group, canvas,
    show(next) {
      state = next;
      ranges.forEach((range, i) => {
        Object.assign(range, { min: next.box[0][i], max: next.box[1][i], value: next.finger[i] });
        range.setAttribute("aria-label", next.names[i]);
        range.setAttribute("aria-valuetext", next.says);
      });
      paint(canvas, next, layer);
    },
  };
}

// Only one of the two is found by Tab at a time, and the arrows go from one to the other; touch finds both.
function expose(ranges, index) {
  ranges.forEach((range, i) => (range.tabIndex = i === index ? 0 : -1));
}

const KEYS = {
  ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowDown: [1, -1], ArrowUp: [1, 1],
  Home: [0, -10], End: [0, 10], PageDown: [1, -10], PageUp: [1, 10],
};

function listenToKeys(ranges, current, act) {
  ranges.forEach((range, i) => {
    range.addEventListener("keydown", (event) => {
      const key = KEYS[event.key];
      if (!key || !current() || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      event.stopPropagation(); // a notebook has uses of its own for arrows
      const [axis, steps] = key;
      const { box } = current();
      const far = event.shiftKey && Math.abs(steps) === 1 ? 10 : 1;
      const place = [...act.place()];
      place[axis] += (far * steps * (box[1][axis] - box[0][axis])) / 100;
      expose(ranges, axis);
      ranges[axis].focus();
      act.move(...within(box, place));
    });
    range.addEventListener("input", () => {
      const place = [...act.place()];
      place[i] = Number(range.value);
      act.move(...place);
    });
  });
}

function within([low, high], place) {
  return place.map((value, i) => Math.min(high[i], Math.max(low[i], value)));
}

function listenToPointer(canvas, current, act) {
  let traced = null;
  const placeOf = (event) => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    const [low, high] = current().box;
    const [x, y] = [(event.clientX - left) / width, (event.clientY - top) / height];
    return within([low, high], [low[0] + x * (high[0] - low[0]), high[1] - y * (high[1] - low[1])]);
  };
  const go = (event) => {
    const place = placeOf(event);
    if (traced) act.trace((traced = [...traced, place]), false);
    else act.move(...place);
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (!current() || event.button > 0) return;
    canvas.setPointerCapture(event.pointerId);
    traced = act.tracing() ? [] : null;
    act.hover(null);
    go(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!current()) return;
    if (canvas.hasPointerCapture(event.pointerId)) go(event);
    else if (event.pointerType === "mouse") act.hover(...placeOf(event));
  });
  const end = () => {
    if (traced) act.trace(traced, true);
    traced = null;
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("pointerleave", () => act.hover(null));
}

// Draws it all: `state` has box, finger, points, shown, dots (what they depend on, or null), plain, colorOf(n), grounds
// (canvases), sharp, marks, path, names and says.
function paint(canvas, state, layer) {
  const side = Math.round(canvas.clientWidth * Math.min(2, devicePixelRatio || 1));
  if (side < 1) return;
  if (canvas.width !== side) [canvas.width, canvas.height] = [side, side];
  const context = canvas.getContext("2d");
  const at = (place) => boxToUnit(state.box, ...place).map((part) => part * side);
  const unit = side / 480;
  const [paper, ink] = [cssColor(canvas, "--paper"), cssColor(canvas, "--ink")];
  context.fillStyle = cssColor(canvas, "--panel");
  context.fillRect(0, 0, side, side);
  context.imageSmoothingEnabled = !state.sharp;
  for (const ground of state.grounds) context.drawImage(ground, 0, 0, side, side);
  if (state.dots) {
    const key = [state.dots, state.plain, side, paper].join();
    if (layer.key !== key) {
      layer.key = key;
      [layer.canvas.width, layer.canvas.height] = [side, side];
      paintDots(layer.canvas.getContext("2d"), state, at, (state.plain ? 3 : 2.4) * Math.max(unit, 0.8), paper);
    }
    context.drawImage(layer.canvas, 0, 0);
  }
  if (state.path.length > 1) paintPath(context, state.path.map(at), unit, paper, ink);
  for (const { place, words } of state.marks) paintMark(context, at(place), words, unit, paper, ink);
  paintFinger(context, at(state.finger), unit, paper, ink);
}

function paintDots(context, { points, shown, colorOf, plain }, at, radius, paper) {
  context.globalAlpha = plain ? 0.85 : 0.9;
  context.strokeStyle = paper;
  context.lineWidth = radius / 4;
  for (let n = 0; n < shown.length; n++) {
    if (!shown[n]) continue;
    const [x, y] = at([points[2 * n], points[2 * n + 1]]);
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fillStyle = colorOf(n);
    context.fill();
    context.stroke();
  }
  context.globalAlpha = 1;
}

// A line in ink on a wider one in paper is seen on any ground.
function twice(context, unit, paper, ink, draw) {
  for (const [color, width] of [[paper, 5], [ink, 2]]) {
    context.strokeStyle = color;
    context.lineWidth = width * unit;
    context.beginPath();
    draw();
    context.stroke();
  }
}

function paintPath(context, corners, unit, paper, ink) {
  context.lineJoin = context.lineCap = "round";
  twice(context, unit, paper, ink, () => corners.forEach((corner) => context.lineTo(...corner)));
}

function paintFinger(context, [x, y], unit, paper, ink) {
  twice(context, unit, paper, ink, () => {
    context.arc(x, y, 9 * unit, 0, 2 * Math.PI);
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x + 9 * unit * dx, y + 9 * unit * dy);
      context.lineTo(x + 15 * unit * dx, y + 15 * unit * dy);
    }
  });
}

function paintMark(context, [x, y], words, unit, paper, ink) {
  twice(context, unit, paper, ink, () => context.rect(x - 7 * unit, y - 7 * unit, 14 * unit, 14 * unit));
  if (!words) return;
  context.font = `${Math.max(13 * Math.min(2, devicePixelRatio || 1), 14 * unit)}px "DejaVu Sans", sans-serif`;
  context.textAlign = x > context.canvas.width / 2 ? "right" : "left";
  const from = x + (context.textAlign === "right" ? -12 : 12) * unit;
  context.strokeStyle = paper;
  context.lineWidth = 4 * unit;
  context.strokeText(words, from, y - 9 * unit);
  context.fillStyle = ink;
  context.fillText(words, from, y - 9 * unit);
}
