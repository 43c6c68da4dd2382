// Small networks in plain JavaScript: what export.py wrote, run layer by layer on flat arrays of numbers.
// A map of features lies with its channels last: number (y · width + x) · channels + c. Codes and flat images are in
// torch's order, channels first. Every layer owns the array that it fills, so a run allocates nothing.
import { convolution } from "./convolution.js";

// { inputs, outputs: shapes as torch has them, run(numbers) → numbers, of a map with its channels last }
export function network(exported, weights) {
  const read = (tensor) => numbersOf(tensor, weights);
  const chain = chainOf(exported.layers, { size: exported.inputs.reduce((a, b) => a * b, 1) }, read);
  return { inputs: exported.inputs, outputs: exported.outputs, run: chain.run };
}

// Half-precision or single-precision numbers, as doubles: what JavaScript computes with.
export function numbersOf(tensor, weights) {
  const count = tensor.shape.reduce((a, b) => a * b, 1);
  if (tensor.type === "f4") return Float64Array.from(new Float32Array(weights.slice(tensor.at, tensor.at + 4 * count)));
  return Float64Array.from(new Uint16Array(weights.slice(tensor.at, tensor.at + 2 * count)), halfToNumber);
}

export function halfToNumber(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

// A form is { size } of a vector, or { size, height, width, channels } of a map.
function mapForm(height, width, channels) {
  return { size: height * width * channels, height, width, channels };
}

function chainOf(layers, form, read) {
  const runs = [];
  for (const layer of layers) {
    if (!(layer.kind in MAKERS)) throw new Error(`a layer of kind ${layer.kind} cannot be run`);
    const made = MAKERS[layer.kind](layer, form, read);
    runs.push(made.run);
    form = made.form;
  }
  const run = (numbers) => {
    let now = numbers;
    for (const each of runs) now = each(now);
    return now;
  };
  return { run, form };
}

function elementwise(change) {
  return (layer, form) => {
    const out = new Float64Array(form.size);
    const run = (numbers) => {
      for (let i = 0; i < out.length; i++) out[i] = change(numbers[i], layer);
      return out;
    };
    return { run, form };
  };
}

// out[i] = numbers[order[i]]
function reordered(order, form) {
  const out = new Float64Array(order.length);
  const run = (numbers) => {
    for (let i = 0; i < out.length; i++) out[i] = numbers[order[i]];
    return out;
  };
  return { run, form };
}

// Where the numbers of a map come from, for each place in it: from(y, x, c) is an index into what is there.
function orderOf(form, from) {
  const order = new Int32Array(form.size);
  for (let y = 0, i = 0; y < form.height; y++) {
    for (let x = 0; x < form.width; x++) {
      for (let c = 0; c < form.channels; c++, i++) order[i] = from(y, x, c);
    }
  }
  return order;
}

// Column by column of the weights, four at a time: an input that is zero, as half are behind a ReLU, costs nothing.
function linear(layer, form, read) {
  const bias = read(layer.bias);
  const [count, inside] = [bias.length, form.size];
  const columns = new Float32Array(inside * count); // in × out
  read(layer.weight).forEach((weight, at) => (columns[(at % inside) * count + Math.floor(at / inside)] = weight));
  const out = new Float64Array(count);
  const live = new Int32Array(inside + 3); // what isn't zero, then up to three that are counted with no weight
  const run = (numbers) => {
    let found = 0;
    for (let i = 0; i < inside; i++) if (numbers[i] !== 0) live[found++] = i;
    out.set(bias);
    for (let n = 0; n < found; n += 4) {
      const value = (k) => (n + k < found ? numbers[live[n + k]] : 0);
      const [a, b, c, d] = [value(0), value(1), value(2), value(3)];
      const [p, q, r, s] = [0, 1, 2, 3].map((k) => (n + k < found ? live[n + k] * count : 0));
      for (let o = 0; o < count; o++) {
        out[o] += a * columns[p + o] + b * columns[q + o] + c * columns[r + o] + d * columns[s + o];
      }
    }
    return out;
  };
  return { run, form: { size: count } };
}

// Scale and shift: each one number, or one a channel (of a vector: one a number).
function affine(layer, form, read) {
  const channels = form.channels ?? form.size;
  const each = (value) => (typeof value === "number" ? new Float64Array(channels).fill(value) : read(value));
  const [scale, shift] = [each(layer.scale), each(layer.shift)];
  const out = new Float64Array(form.size);
  const run = (numbers) => {
    for (let i = 0, c = 0; i < out.length; i++, c = c + 1 === channels ? 0 : c + 1) out[i] = numbers[i] * scale[c] + shift[c];
    return out;
  };
  return { run, form };
}

function sum(layer, form, read) {
  const branches = layer.branches.map((layers) => chainOf(layers, form, read));
  const out = new Float64Array(branches[0].form.size);
  const run = (numbers) => {
    out.fill(0);
    for (const branch of branches) {
      const found = branch.run(numbers);
      for (let i = 0; i < out.length; i++) out[i] += found[i];
    }
    return out;
  };
  return { run, form: branches[0].form };
}

function first(layer, form) {
  const count = layer.count ?? form.size / layer.part;
  return { run: (numbers) => numbers.subarray(0, count), form: { size: count } };
}

function mean(layer, form) {
  const out = new Float64Array(form.channels);
  const run = (numbers) => {
    out.fill(0);
    for (let i = 0; i < numbers.length; i++) out[i % out.length] += numbers[i];
    for (let c = 0; c < out.length; c++) out[c] *= out.length / form.size;
    return out;
  };
  return { run, form: { size: out.length } };
}

function unflatten(layer, form) {
  const [channels, high, wide] = layer.shape; // one of them may be −1, as in torch
  const sides = [channels, high, wide].map((side) => (side === -1 ? -form.size / (channels * high * wide) : side));
  const to = mapForm(sides[1], sides[2], sides[0]);
  return reordered(orderOf(to, (y, x, c) => (c * to.height + y) * to.width + x), to);
}

function flatten(layer, form) {
  if (!form.channels) return { run: (numbers) => numbers, form };
  const order = new Int32Array(form.size);
  orderOf(form, (y, x, c) => (c * form.height + y) * form.width + x).forEach((to, from) => (order[to] = from));
  return reordered(order, { size: form.size });
}

function maxPool(layer, form) {
  const [[high, wide], [down, across]] = [layer.size, layer.stride];
  const to = mapForm(Math.floor((form.height - high) / down) + 1, Math.floor((form.width - wide) / across) + 1, form.channels);
  const out = new Float64Array(to.size);
  const corner = orderOf(to, (y, x, c) => (y * down * form.width + x * across) * form.channels + c);
  const run = (numbers) => {
    out.fill(-Infinity);
    for (let y = 0; y < high; y++) {
      for (let x = 0; x < wide; x++) {
        const away = (y * form.width + x) * form.channels;
        for (let i = 0; i < out.length; i++) out[i] = Math.max(out[i], numbers[corner[i] + away]);
      }
    }
    return out;
  };
  return { run, form: to };
}

function upsample({ factor }, form) {
  const to = mapForm(form.height * factor, form.width * factor, form.channels);
  const at = (y, x, c) => (Math.floor(y / factor) * form.width + Math.floor(x / factor)) * form.channels + c;
  return reordered(orderOf(to, at), to);
}

function pixelShuffle({ factor }, form) {
  const to = mapForm(form.height * factor, form.width * factor, form.channels / factor ** 2);
  const at = (y, x, c) =>
    (Math.floor(y / factor) * form.width + Math.floor(x / factor)) * form.channels +
    (c * factor + (y % factor)) * factor + (x % factor);
  return reordered(orderOf(to, at), to);
}

function pixelUnshuffle({ factor }, form) {
  const to = mapForm(form.height / factor, form.width / factor, form.channels * factor ** 2);
  const at = (y, x, c) => {
    const [within, channel] = [c % factor ** 2, Math.floor(c / factor ** 2)];
    const row = y * factor + Math.floor(within / factor);
    return (row * form.width + x * factor + (within % factor)) * form.channels + channel;
  };
  return reordered(orderOf(to, at), to);
}

// σ from −16 to 16 at 4,096 steps; linear between them it is exact to a millionth, and several times faster than exp.
const FINE = 4096;
const SIGMOID = Float64Array.from({ length: FINE + 2 }, (_, i) => 1 / (1 + Math.exp(16 - (32 * i) / FINE)));

// The decoder that cuts cells out of the plane (models/convex.py): ground + Σ cell · colour.
function convex(layer, form, read) {
  const { size, cells, cuts } = layer;
  const heads = { coefficients: linear(layer.coefficients, form, read), colors: linear(layer.colors, form, read) };
  const to = mapForm(size, size, 3);
  const out = new Float64Array(to.size);
  const all = cells * cuts;
  const across = new Float64Array(all); // what a cut's side gains in this row, whatever the column
  const run = (numbers) => {
    const k = heads.coefficients.run(numbers); // [a, b, q, c] × cells × cuts
    const colors = heads.colors.run(numbers); // ground, then what each cell adds to it
    for (let i = 0; i < out.length; i++) out[i] = colors[i % 3];
    for (let y = 0, i = 0; y < size; y++) {
      const v = (2 * (y + 0.5)) / size - 1;
      for (let cut = 0; cut < all; cut++) across[cut] = k[all + cut] * v + k[2 * all + cut] * v * v + 0.25 * k[3 * all + cut];
      for (let x = 0; x < size; x++, i += 3) {
        const u = (2 * (x + 0.5)) / size - 1;
        for (let cell = 0; cell < cells; cell++) {
          let inside = 1;
          for (let cut = cell * cuts; cut < (cell + 1) * cuts && inside > 1e-5; cut++) {
            const side = 8 * ((k[cut] + k[2 * all + cut] * u) * u + across[cut]);
            if (side >= 16) continue;
            const place = side <= -16 ? 0 : (side + 16) * (FINE / 32), step = place | 0;
            inside *= SIGMOID[step] + (place - step) * (SIGMOID[step + 1] - SIGMOID[step]);
          }
          if (inside <= 1e-5) continue;
          const at = 3 * (cell + 1);
          out[i] += inside * colors[at];
          out[i + 1] += inside * colors[at + 1];
          out[i + 2] += inside * colors[at + 2];
        }
      }
    }
    return out;
  };
  return { run, form: to };
}

// μ(η) of the continuous Bernoulli (losses.continuous_bernoulli_mean).
function continuousMean(logit) {
  if (Math.abs(logit) < 1e-3) return 0.5 + logit / 12;
  return -1 / Math.expm1(-logit) - 1 / logit;
}

const MAKERS = {
  linear, affine, sum, first, mean, unflatten, flatten, upsample, convex,
  max_pool: maxPool,
  pixel_shuffle: pixelShuffle,
  pixel_unshuffle: pixelUnshuffle,
  conv: convolution,
  conv_transpose: convolution,
  relu: elementwise((x) => (x > 0 ? x : 0)),
  leaky_relu: elementwise((x, { slope }) => (x > 0 ? x : slope * x)),
  silu: elementwise((x) => x / (1 + Math.exp(-x))),
  sigmoid: elementwise((x) => 1 / (1 + Math.exp(-x))),
  tanh: elementwise(Math.tanh),
  softplus: elementwise((x) => (x > 20 ? x : Math.log1p(Math.exp(x)))),
  clamp: elementwise((x) => (x < 0 ? 0 : x > 1 ? 1 : x)),
  continuous_bernoulli: elementwise(continuousMean),
};
