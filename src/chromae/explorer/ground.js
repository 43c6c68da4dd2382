// What lies under the dots of a map: what is decoded there, coarse first and then finer, and where no data is near.
import { gently } from "./dom.js";
import { runMany, toImageData } from "./space.js";

const GROUND = 720; // pixels a side
const HOLES = 90; // cells a side, in which the distance to the data is measured

export function groundCanvas(size = GROUND) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [size, size];
  return canvas;
}

// Decodes the box of a map: `kind` is "plane" (tiles without gaps) or "lattice". Calls `changed` as it comes along.
// `decoder.run` takes one code, `codeAt(x, y)` gives that of a place. Ends early when `wanted()` no longer holds.
export async function drawGround(canvas, kind, decoder, shape, box, codeAt, wanted, changed) {
  if (kind === "plane" && shape.join() === "3,1,1") {
    return drawColors(canvas, decoder, box, codeAt, wanted, changed);
  }
  const levels = kind === "plane" ? [8, 16] : [narrow(shape) ? 11 : 9];
  const gap = kind === "plane" ? 0 : 0.16;
  const scratch = groundCanvas(1);
  [scratch.width, scratch.height] = [shape[2], shape[1]];
  for (const level of levels) {
    const finer = level === levels[0] ? canvas : groundCanvas(); // shown in its place once it is whole
    const context = finer.getContext("2d");
    context.imageSmoothingQuality = "high";
    if (finer === canvas) context.clearRect(0, 0, canvas.width, canvas.height);
    const tiles = function* () {
      for (const [row, column] of outward(level)) {
        const [x, y] = cellCenter(box, level, row, column);
        scratch.getContext("2d").putImageData(toImageData(decoder.run(codeAt(x, y)), shape), 0, 0);
        const side = canvas.width / level;
        const inset = (gap / 2) * side;
        context.drawImage(scratch, column * side + inset, row * side + inset, side - 2 * inset, side - 2 * inset);
        if (finer === canvas) changed();
        yield;
      }
    };
    if (!(await gently(tiles(), wanted))) return;
    if (finer !== canvas) canvas.getContext("2d").drawImage(finer, 0, 0);
    changed();
  }
}

function narrow(shape) {
  return shape[2] <= 40;
}

// Cells row by row, the middle ones first: that is where a reader looks.
function outward(level) {
  const cells = [];
  for (let row = 0; row < level; row++) for (let column = 0; column < level; column++) cells.push([row, column]);
  const middle = (level - 1) / 2;
  const away = ([row, column]) => (row - middle) ** 2 + (column - middle) ** 2;
  return cells.sort((a, b) => away(a) - away(b));
}

function cellCenter([low, high], level, row, column) {
  const x = low[0] + ((column + 0.5) / level) * (high[0] - low[0]);
  return [x, high[1] - ((row + 0.5) / level) * (high[1] - low[1])];
}

// A decoder of colours gives every pixel its own: all of a row at once.
async function drawColors(canvas, decoder, box, codeAt, wanted, changed) {
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  for (const level of [40, 200]) {
    const size = codeAt(box[0][0], box[0][1]).length;
    const row = groundCanvas(1);
    row.width = level;
    const codes = new Float32Array(level * size);
    const rows = function* () {
      for (let y = 0; y < level; y++) {
        for (let x = 0; x < level; x++) codes.set(codeAt(...cellCenter(box, level, y, x)), x * size);
        row.getContext("2d").putImageData(toImageData(runMany(decoder, codes, level, 3), [3, 1, level]), 0, 0);
        const [top, bottom] = [y, y + 1].map((at) => Math.round((at * canvas.height) / level));
        context.drawImage(row, 0, top, canvas.width, bottom - top);
        yield;
      }
    };
    if (!(await gently(rows(), wanted))) return;
    changed();
  }
}

// Real pictures at their codes: one in every cell of a lattice that holds a code, so that none hides another.
export function drawPictures(canvas, pictures, points, shown, box, across = 26) {
  const context = canvas.getContext("2d");
  const side = canvas.width / across;
  const taken = new Set();
  context.clearRect(0, 0, canvas.width, canvas.height);
  for (let n = 0; n < shown.length; n++) {
    if (!shown[n]) continue;
    const [x, y] = boxToUnit(box, points[2 * n], points[2 * n + 1]);
    const cell = [Math.floor(x * across), Math.floor(y * across)];
    if (cell.some((at) => at < 0 || at >= across) || taken.has(cell.join())) continue;
    taken.add(cell.join());
    pictures.draw(context, n, cell[0] * side + 1, cell[1] * side + 1, side - 2, side - 2);
  }
}

// A place of the map from 0 to 1, y down.
export function boxToUnit([low, high], a, b) {
  return [(a - low[0]) / (high[0] - low[0]), (high[1] - b) / (high[1] - low[1])];
}

// Hatches where the nearest code is further away than `far`: the denser, the further. `distanceAt(x, y)` measures.
export async function drawHoles(canvas, box, distanceAt, far, colors, wanted, changed) {
  const mask = groundCanvas(HOLES);
  const image = new ImageData(HOLES, HOLES);
  const rows = function* () {
    for (let row = 0; row < HOLES; row++) {
      for (let column = 0; column < HOLES; column++) {
        const distance = distanceAt(...cellCenter(box, HOLES, row, column));
        const strength = distance > far ? Math.min(1, 0.55 + (0.15 * distance) / far) : 0;
        image.data[4 * (row * HOLES + column) + 3] = 255 * strength;
      }
      yield;
    }
  };
  if (!(await gently(rows(), wanted, 8))) return;
  mask.getContext("2d").putImageData(image, 0, 0);
  const context = canvas.getContext("2d");
  context.globalCompositeOperation = "source-over";
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(mask, 0, 0, canvas.width, canvas.height);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = context.createPattern(hatching(colors), "repeat");
  context.fillRect(0, 0, canvas.width, canvas.height);
  changed();
}

function hatching({ paper, ink }) {
  const tile = groundCanvas(12);
  const context = tile.getContext("2d");
  context.globalAlpha = 0.62;
  context.fillStyle = paper;
  context.fillRect(0, 0, 12, 12);
  context.globalAlpha = 0.55;
  context.strokeStyle = ink;
  context.lineWidth = 1.3;
  for (const shift of [-12, 0, 12]) {
    context.beginPath();
    context.moveTo(shift - 1, 13);
    context.lineTo(shift + 13, -1);
    context.stroke();
  }
  return tile;
}
