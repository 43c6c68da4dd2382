// A scene read: the codes and networks of a model at every epoch, and the pictures of the data.
import { network, halfToNumber } from "./layers.js";

export function readSpace(entry, scene, blob, pictures) {
  const once = (make) => {
    const made = new Map();
    return (epoch, count) => {
      const at = Math.min(epoch, count - 1);
      if (!made.has(at)) made.set(at, make(at));
      return made.get(at);
    };
  };
  const net = (kind) => {
    if (!entry[kind]) return () => null;
    const { layers, weights, inputs, outputs, epochs: count } = entry[kind];
    const made = once((epoch) => {
      const [first] = weights;
      const place = weights[epoch] ?? { at: first.at + epoch * first.length, length: first.length };
      return network({ layers: layers[epoch] ?? layers[0], inputs, outputs }, part(blob, place));
    });
    return (epoch) => made(epoch, count);
  };
  const [decoder, encoder] = [net("decoder"), net("encoder")];
  const epochs = Math.max(entry.usual.length, 1);
  const codes = once((at) => {
    if (entry.codes.length) return numbers(blob, entry.codes[at]);
    return encodeAll(encoder(at), pictures.colors(), entry.size);
  });
  return {
    name: entry.name, size: entry.size, center: entry.center, axes: entry.axes, spread: entry.spread, box: entry.box,
    epochs, decoder, encoder, codes: (epoch) => codes(epoch, epochs),
    usual: (epoch) => entry.usual[Math.min(epoch, epochs - 1)],
    far: (epoch) => entry.far[Math.min(epoch, epochs - 1)],
  };
}

function encodeAll(encoder, colors, size) {
  const count = colors.length / encoder.inputs.reduce((a, b) => a * b, 1);
  return Float32Array.from(runMany(encoder, colors, count, size));
}

// What a network makes of many inputs, one after the other in one array.
export function runMany(net, inputs, count, size) {
  if (net.runMany) return net.runMany(inputs, count);
  const out = new Float32Array(count * size);
  const each = inputs.length / count;
  for (let n = 0; n < count; n++) out.set(net.run(inputs.subarray(n * each, (n + 1) * each)), n * size);
  return out;
}

function part(blob, { at, length }) {
  return blob.slice(at, at + length);
}

function numbers(blob, where) {
  const bytes = part(blob, where);
  return where.type === "half" ? Float32Array.from(new Uint16Array(bytes), halfToNumber) : new Float32Array(bytes);
}

// The pictures of the data, each a tile of one sheet. `colors` are all their values in [0, 1], channels first.
export async function readPictures(scene, blob) {
  const file = new Blob([part(blob, scene.pictures)], { type: scene.pictures.type });
  const sheet = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const [height, width] = scene.tile;
  const corner = (index) => [(index % scene.columns) * width, Math.floor(index / scene.columns) * height];
  const draw = (context, index, x, y, w, h) => context.drawImage(sheet, ...corner(index), width, height, x, y, w, h);
  const colors = () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [sheet.width, sheet.height];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(sheet, 0, 0);
    const channels = scene.shape[0];
    const all = new Float32Array(scene.count * channels * height * width);
    for (let n = 0; n < scene.count; n++) {
      all.set(planar(context.getImageData(...corner(n), width, height), channels), n * channels * height * width);
    }
    return all;
  };
  return { height, width, draw, colors };
}

// RGBA bytes as values in [0, 1], channels first; one channel is grey, by Rec. 601's weights.
export function planar({ data }, channels) {
  const pixels = data.length / 4;
  const values = new Float32Array(channels * pixels);
  for (let p = 0; p < pixels; p++) {
    const [r, g, b] = [data[4 * p] / 255, data[4 * p + 1] / 255, data[4 * p + 2] / 255];
    if (channels === 1) values[p] = r === g && g === b ? r : 0.299 * r + 0.587 * g + 0.114 * b;
    else [values[p], values[pixels + p], values[2 * pixels + p]] = [r, g, b];
  }
  return values;
}

// Values in [0, 1], channels last, as a network's picture is, as RGBA bytes rounded to the nearest level.
export function toImageData(values, [channels, height, width]) {
  const image = new ImageData(width, height);
  for (let p = 0; p < width * height; p++) {
    for (let c = 0; c < 3; c++) image.data[4 * p + c] = Math.round(255 * values[channels === 1 ? p : 3 * p + c]);
    image.data[4 * p + 3] = 255;
  }
  return image;
}
