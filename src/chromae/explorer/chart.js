// A curve over epochs on a canvas, on a logarithmic axis, with limits drawn as dashed lines.
import { node, cssColor } from "./dom.js";

// `limits`: [value, words]; `ticks`: values that are named; the curve is a list of { value, slip } an epoch.
export function chart(title, { low, high, ticks, limits = [] }, label) {
  const canvas = node("canvas", { width: 640, height: 600, className: "chart" });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  const element = node("figure", { className: "plot" }, node("figcaption", {}, title), canvas);
  const left = 100, right = 34, top = 16, bottom = 92;

  function show(curve) {
    const pen = canvas.getContext("2d");
    const color = (name) => cssColor(canvas, name) || "#888";
    const { width, height } = canvas;
    const epochs = Math.max(20, curve.length);
    const x = (epoch) => left + ((width - left - right) * epoch) / epochs;
    const y = (value) => {
      const part = Math.log(Math.min(high, Math.max(low, value)) / low) / Math.log(high / low);
      return height - bottom - (height - top - bottom) * part;
    };
    pen.clearRect(0, 0, width, height);
    pen.font = `32px ${getComputedStyle(canvas).fontFamily}`;
    pen.lineWidth = 2;
    pen.fillStyle = color("--ink");
    pen.strokeStyle = color("--line");
    pen.strokeRect(left, top, width - left - right, height - top - bottom);
    pen.textAlign = "right";
    for (const tick of ticks) pen.fillText(String(tick), left - 8, y(tick) + 11);
    pen.textAlign = "center";
    for (let n = 0, step = roundStep(epochs); n <= epochs; n += step) pen.fillText(String(n), x(n), height - bottom + 38);
    pen.fillText("epoch", (left + width - right) / 2, height - 10);
    pen.textAlign = "right";
    pen.strokeStyle = color("--ink");
    for (const [value, words] of limits) {
      pen.setLineDash([8, 6]);
      stroke(pen, [[left, y(value)], [width - right, y(value)]]);
      pen.setLineDash([]);
      pen.fillText(words, width - right - 8, y(value) + 36);
    }
    pen.lineWidth = 4;
    for (let n = 1; n < curve.length; n++) {
      pen.strokeStyle = color(curve[n].slip ? "--warm" : "--accent");
      stroke(pen, [[x(n), y(curve[n - 1].value)], [x(n + 1), y(curve[n].value)]]);
    }
  }
  return { element, show };
}

// 1, 2 or 5 of a power of ten, so that at most four such steps fit.
function roundStep(length) {
  const power = 10 ** Math.floor(Math.log10(length / 4));
  return [1, 2, 5, 10].map((times) => times * power).find((step) => length / step <= 4);
}

function stroke(pen, [from, to]) {
  pen.beginPath();
  pen.moveTo(...from);
  pen.lineTo(...to);
  pen.stroke();
}
