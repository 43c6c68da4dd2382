// The RGB cube, standing on black, with a sheet of colours in it; it turns under a drag or the arrow keys.
import { node, cssColor } from "./dom.js";

const CORNERS = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => [n & 1, (n >> 1) & 1, (n >> 2) & 1]);
const EDGES = CORNERS.flatMap((a, i) => [1, 2, 4].filter((bit) => !(i & bit)).map((bit) => [a, CORNERS[i | bit]]));

// { element, show(sheet, points) }; `sheet` holds points × points colours, each its own place. `store` keeps "turn".
export function cubeView(store, signal, size = 360) {
  const canvas = node("canvas", { width: 2 * size, height: 2 * size, tabIndex: 0, className: "cube" });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "The decoder's sheet inside the RGB cube; left and right arrow keys turn it");
  const seen = { sheet: null, points: 0, from: null };
  const redraw = () => draw(canvas, seen.sheet, seen.points, store.get("turn"));
  const turnBy = (part) => store.set("turn", (((store.get("turn") + part) % 1) + 1) % 1);
  canvas.addEventListener("pointerdown", (event) => {
    seen.from = event.clientX;
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (seen.from === null) return;
    turnBy((event.clientX - seen.from) / 600);
    seen.from = event.clientX;
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => (seen.from = null));
  canvas.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way) return;
    turnBy(way / 48);
    event.preventDefault();
  });
  store.on("turn", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw, { signal });
  return {
    element: canvas,
    show(sheet, points) {
      Object.assign(seen, { sheet, points });
      redraw();
    },
  };
}

// Unit vectors to the right, up and towards the eye, which looks a little down on the grey diagonal.
function camera(turn, lift = 0.06) {
  const up = [1, 1, 1].map((it) => it / Math.sqrt(3));
  const side = [1, -1, 0].map((it) => it / Math.sqrt(2));
  const mix = (a, x, b, y) => x.map((it, i) => a * it + b * y[i]);
  const level = mix(Math.cos(2 * Math.PI * turn), side, Math.sin(2 * Math.PI * turn), cross(up, side));
  const eye = mix(Math.cos(2 * Math.PI * lift), level, Math.sin(2 * Math.PI * lift), up);
  return [cross(up, level), cross(eye, cross(up, level)), eye];
}

function cross([a, b, c], [x, y, z]) {
  return [b * z - c * y, c * x - a * z, a * y - b * x];
}

function draw(canvas, sheet, points, turn) {
  const pen = canvas.getContext("2d");
  const [size, axes] = [canvas.width, camera(turn)];
  const along = (axis, r, g, b) => axis[0] * (r - 0.5) + axis[1] * (g - 0.5) + axis[2] * (b - 0.5);
  const place = (r, g, b) => [size * (0.5 + 0.54 * along(axes[0], r, g, b)), size * (0.5 - 0.54 * along(axes[1], r, g, b))];
  pen.clearRect(0, 0, size, size);
  const depth = ([r, g, b]) => along(axes[2], r, g, b);
  const nearest = CORNERS.reduce((a, b) => (depth(a) > depth(b) ? a : b));
  const line = ([a, b], color) => {
    pen.strokeStyle = color;
    pen.lineWidth = size / 240;
    pen.beginPath();
    pen.moveTo(...place(...a));
    pen.lineTo(...place(...b));
    pen.stroke();
  };
  const [faint, strong] = ["--line", "--faint"].map((name) => cssColor(canvas, name) || "#999");
  const inFront = (edge) => edge.includes(nearest);
  EDGES.filter((edge) => !inFront(edge)).forEach((edge) => line(edge, faint));
  if (sheet) for (const quad of quads(sheet, points, along, axes, place)) fill(pen, quad);
  EDGES.filter(inFront).forEach((edge) => line(edge, strong));
}

// The sheet's meshes from the farthest to the nearest: corners on the page and colour, darker where seen aslant.
function quads(sheet, points, along, axes, place) {
  const light = axes[2].map((it, i) => (it + 0.6 * axes[1][i] - 0.4 * axes[0][i]) / Math.hypot(1, 0.6, 0.4));
  const found = [];
  for (let row = 0; row + 1 < points; row++) {
    for (let column = 0; column + 1 < points; column++) {
      const at = [row * points + column, row * points + column + 1, (row + 1) * points + column + 1, (row + 1) * points + column];
      const corners = at.map((i) => [sheet[3 * i], sheet[3 * i + 1], sheet[3 * i + 2]]);
      const middle = [0, 1, 2].map((c) => (corners[0][c] + corners[1][c] + corners[2][c] + corners[3][c]) / 4);
      const minus = (a, b) => a.map((it, i) => it - b[i]);
      const normal = cross(minus(corners[2], corners[0]), minus(corners[3], corners[1]));
      const facing = Math.abs(normal[0] * light[0] + normal[1] * light[1] + normal[2] * light[2]) / (Math.hypot(...normal) || 1);
      const color = middle.map((it) => Math.round(255 * Math.min(1, Math.max(0, it)) * (0.7 + 0.3 * facing)));
      found.push({ near: along(axes[2], ...middle), corners: corners.map((it) => place(...it)), color: `rgb(${color})` });
    }
  }
  return found.sort((a, b) => a.near - b.near);
}

function fill(pen, { corners, color }) {
  pen.fillStyle = pen.strokeStyle = color;
  pen.lineWidth = 1;
  pen.beginPath();
  corners.forEach((corner, i) => (i ? pen.lineTo(...corner) : pen.moveTo(...corner)));
  pen.closePath();
  pen.fill();
  pen.stroke();
}
