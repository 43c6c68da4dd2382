// Draw your own, or choose or drop a file: an image of the size that the encoder takes.
import { node } from "./dom.js";
import { planar } from "./space.js";

const PAD = 280; // pixels a side

// `done({ values, image })` gets values in [0, 1], channels first, and the same as ImageData; `done(null)` on clearing.
// A file may be dropped anywhere on `root`, for beside it a browser would leave the page to show the file.
export function drawingPad(shape, done, root, signal) {
  const words = node("p", { className: "faint", role: "status" });
  const pad = shape[0] === 1 && shape[2] <= 64 ? sketch(() => give(pad.canvas, shape[2] === 28)) : null;
  const file = node("input", { type: "file", accept: "image/*" });
  const give = (source, centred) => {
    const canvas = centred ? centredLikeDigits(source, shape) : fitted(source, shape);
    const image = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const values = planar(image, shape[0]);
    done({ values, image });
  };
  const read = async (blob) => {
    let picture;
    try {
      picture = await createImageBitmap(blob);
    } catch {
      words.textContent = `${blob.name} is no image that this browser reads.`;
      return;
    }
    const [from, to] = [[picture.width, picture.height], [shape[2], shape[1]]].map((size) => size.join(" × "));
    words.textContent = `${blob.name}, ${from} pixels, is shown at ${to}.`;
    give(picture, false);
  };
  file.addEventListener("change", () => file.files.length && read(file.files[0]));
  const clear = node("button", { type: "button" }, "Clear it");
  clear.addEventListener("click", () => {
    pad?.clear();
    file.value = words.textContent = "";
    done(null);
  });
  const element = node("section", { className: "yours" },
    node("h2", {}, pad ? "Draw your own" : "Your own"), pad ? pad.canvas : null,
    node("label", { className: "field" }, pad ? "or choose or drop an image file " : "choose or drop an image file ", file), clear, words);
  root.addEventListener("dragover", (event) => event.preventDefault(), { signal });
  root.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) read(event.dataTransfer.files[0]);
  }, { signal });
  signal?.addEventListener("abort", () => done(null));
  return element;
}

// A black square that a pointer draws on in white.
function sketch(changed) {
  const canvas = node("canvas", { className: "sketch", role: "img", "aria-label": "Drawing pad: draw with a pointer" });
  [canvas.width, canvas.height] = [PAD, PAD];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const clear = () => {
    context.fillStyle = "black";
    context.fillRect(0, 0, PAD, PAD);
  };
  clear();
  let last = null;
  const line = (event) => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    const here = [((event.clientX - left) / width) * PAD, ((event.clientY - top) / height) * PAD];
    Object.assign(context, { strokeStyle: "white", lineWidth: PAD / 12, lineCap: "round", lineJoin: "round" });
    context.beginPath();
    context.moveTo(...(last ?? here));
    context.lineTo(...here);
    context.stroke();
    last = here;
    changed();
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    line(event);
  });
  canvas.addEventListener("pointermove", (event) => canvas.hasPointerCapture(event.pointerId) && line(event));
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (last = null));
  return { canvas, clear };
}

function blank(shape) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [shape[2], shape[1]];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "black";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  return { canvas, context };
}

// The middle of an image, cut to the shape that is wanted.
function fitted(source, shape) {
  const { canvas, context } = blank(shape);
  const scale = Math.max(shape[2] / source.width, shape[1] / source.height);
  const [width, height] = [source.width * scale, source.height * scale];
  context.drawImage(source, (shape[2] - width) / 2, (shape[1] - height) / 2, width, height);
  return canvas;
}

// As MNIST's digits are: fitted into 20 of 28 pixels, then moved so that their centre of mass lies in the middle.
function centredLikeDigits(source, shape) {
  const { data } = source.getContext("2d").getImageData(0, 0, source.width, source.height);
  let [left, top, right, bottom] = [source.width, source.height, 0, 0];
  let [mass, x, y] = [0, 0, 0];
  for (let p = 0; p < source.width * source.height; p++) {
    if (!data[4 * p]) continue;
    const [column, row] = [p % source.width, Math.floor(p / source.width)];
    [left, right] = [Math.min(left, column), Math.max(right, column + 1)];
    [top, bottom] = [Math.min(top, row), Math.max(bottom, row + 1)];
    mass += data[4 * p];
    x += data[4 * p] * (column + 0.5);
    y += data[4 * p] * (row + 0.5);
  }
  const { canvas, context } = blank(shape);
  if (!mass) return canvas;
  const scale = ((20 / 28) * shape[2]) / Math.max(right - left, bottom - top);
  const [width, height] = [(right - left) * scale, (bottom - top) * scale];
  const [toX, toY] = [shape[2] / 2 - (x / mass - left) * scale, shape[1] / 2 - (y / mass - top) * scale];
  context.drawImage(source, left, top, right - left, bottom - top, toX, toY, width, height);
  return canvas;
}
