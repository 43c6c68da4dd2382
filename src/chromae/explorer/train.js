// The colour autoencoder, trained in plain JavaScript: RGB → 2 numbers → RGB, sigmoids at both ends, SiLU between.
// Everything follows from the settings and the seed, so that an address repeats a run.

export const DEFAULTS = { slip: false, triplet: false, lr: 0.001, batch: 64, hidden: [], seed: 0 };
export const COLORS = 10000; // fresh ones in an epoch
const HELD_OUT = 10000;
const MARGIN = 1, NUDGE = 0.005; // of the triplets

// Uniform numbers in [0, 1): mulberry32, a state of 32 bits, seeded with any integer.
export function randomNumbers(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

// settings: as DEFAULTS. `slip`, `lr` and `triplet` may change while it trains, the others belong to a run.
export function trainer(settings) {
  const sides = { encoder: [3, ...settings.hidden, 2], decoder: [2, ...[...settings.hidden].reverse(), 3] };
  const count = [...Object.values(sides)].reduce((sum, sizes) => sum + parametersOf(sizes), 0);
  const [numbers, gradient, pile, first, second] = Array.from({ length: 5 }, () => new Float64Array(count));
  const draw = randomNumbers(settings.seed);
  const encoder = perceptron(sides.encoder, numbers, gradient, 0);
  const decoder = perceptron(sides.decoder, numbers, gradient, parametersOf(sides.encoder));
  for (const { weight, bias, inside } of [...encoder.layers, ...decoder.layers]) {
    for (const part of [weight, bias]) for (let i = 0; i < part.length; i++) part[i] = (2 * draw() - 1) / Math.sqrt(inside);
  }
  const held = new Float64Array(3 * HELD_OUT);
  const fixed = randomNumbers(2020);
  for (let i = 0; i < held.length; i++) held[i] = fixed();
  const state = { epoch: 0, seen: 0, steps: 0 };

  // One step of Adam on one batch; true at the end of an epoch.
  function step() {
    const size = Math.min(settings.batch, COLORS - state.seen);
    if (state.seen === 0) pile.fill(0); // the one place where the published loop empties the pile
    const batch = settings.triplet ? triplets(size, draw) : uniform(3 * size, draw);
    gradients(batch, size);
    if (settings.slip) for (let i = 0; i < count; i++) pile[i] += gradient[i];
    adam(settings.slip ? pile : gradient);
    state.seen += size;
    if (state.seen < COLORS) return false;
    state.seen = 0;
    state.epoch += 1;
    return true;
  }

  // The gradient of the loss on a batch, which it returns; of triplets: anchors, then positives, then negatives.
  function gradients(batch, size) {
    gradient.fill(0);
    const rows = batch.length / 3;
    const codes = encoder.forward(batch, rows);
    const colors = decoder.forward(codes, size);
    const back = new Float64Array(3 * size);
    let loss = 0;
    for (let i = 0; i < back.length; i++) {
      const away = colors[i] - batch[i];
      loss += away * away;
      back[i] = (2 * away) / back.length;
    }
    loss /= back.length;
    const toCodes = new Float64Array(2 * rows);
    toCodes.set(decoder.backward(back, size));
    if (rows > size) loss += tripletGradient(codes, size, toCodes);
    encoder.backward(toCodes, rows);
    return loss;
  }

  function adam(slope) {
    state.steps += 1;
    const rate = settings.lr * Math.sqrt(1 - 0.999 ** state.steps) / (1 - 0.9 ** state.steps);
    const small = 1e-8 * Math.sqrt(1 - 0.999 ** state.steps);
    for (let i = 0; i < count; i++) {
      const g = slope[i];
      first[i] += 0.1 * (g - first[i]);
      second[i] += 0.001 * (g * g - second[i]);
      numbers[i] -= (rate * first[i]) / (Math.sqrt(second[i]) + small);
    }
  }

  const decode = (codes) => decoder.forward(codes, codes.length / 2);
  return {
    settings, numbers, gradient, state, step, gradients, decode,
    encode: (colors) => encoder.forward(colors, colors.length / 3),
    epoch() { while (!step()); },
    // Mean squared error on the same 10,000 colours, which no training sees.
    error() {
      const colors = decoder.forward(encoder.forward(held, HELD_OUT), HELD_OUT);
      let sum = 0;
      for (let i = 0; i < held.length; i++) sum += (colors[i] - held[i]) ** 2;
      return sum / held.length;
    },
    // The decoded plane as RGBA, row by row from the top: the first latent runs right, the second up.
    picture: (size) => rgba(decode(gridOf(size, (i) => (i + 0.5) / size, true))),
    // The colours at a grid of codes, edges included: the sheet in the cube.
    sheet: (points) => decode(gridOf(points, (i) => i / (points - 1), false)).slice(),
  };
}

export function parametersOf(sizes) {
  return sizes.slice(1).reduce((sum, out, i) => sum + out * (sizes[i] + 1), 0);
}

// Codes of a square grid, row by row; `down`: the second latent falls from row to row, as on a picture.
export function gridOf(size, place, down) {
  const codes = new Float64Array(2 * size * size);
  for (let row = 0, i = 0; row < size; row++) {
    for (let column = 0; column < size; column++, i += 2) {
      codes[i] = place(column);
      codes[i + 1] = place(down ? size - 1 - row : row);
    }
  }
  return codes;
}

export function rgba(colors) {
  const pixels = new Uint8ClampedArray((colors.length / 3) * 4);
  for (let i = 0, j = 0; i < pixels.length; i += 4, j += 3) {
    pixels[i] = Math.round(255 * colors[j]);
    pixels[i + 1] = Math.round(255 * colors[j + 1]);
    pixels[i + 2] = Math.round(255 * colors[j + 2]);
    pixels[i + 3] = 255;
  }
  return pixels;
}

function uniform(count, draw) {
  const numbers = new Float64Array(count);
  for (let i = 0; i < count; i++) numbers[i] = draw();
  return numbers;
}

// Anchors, positives at most NUDGE away in each channel, and negatives, which are any other colours.
function triplets(size, draw) {
  const batch = uniform(9 * size, draw);
  for (let i = 0, p = 3 * size; i < 3 * size; i++, p++) {
    batch[p] = Math.min(1, Math.max(0, batch[i] + NUDGE * (2 * batch[p] - 1)));
  }
  return batch;
}

// Mean of max(0, |a − p| − |a − n| + margin), its gradient added to that of the codes.
function tripletGradient(codes, size, toCodes) {
  let loss = 0;
  for (let i = 0; i < size; i++) {
    const [a, p, n] = [2 * i, 2 * (size + i), 2 * (2 * size + i)];
    const [px, py] = [codes[a] - codes[p] + 1e-6, codes[a + 1] - codes[p + 1] + 1e-6]; // torch's small number
    const [nx, ny] = [codes[a] - codes[n] + 1e-6, codes[a + 1] - codes[n + 1] + 1e-6];
    const [near, far] = [Math.hypot(px, py), Math.hypot(nx, ny)];
    if (near - far + MARGIN <= 0) continue;
    loss += (near - far + MARGIN) / size;
    const [ax, ay, bx, by] = [px / near / size, py / near / size, nx / far / size, ny / far / size];
    toCodes[a] += ax - bx; toCodes[a + 1] += ay - by;
    toCodes[p] -= ax; toCodes[p + 1] -= ay;
    toCodes[n] += bx; toCodes[n + 1] += by;
  }
  return loss;
}

// Affine layers between these sizes, SiLU after each but the last, which has a sigmoid. Parameters lie in `numbers`
// from `at` on, as torch orders them: weight (out × in), then bias, layer by layer.
function perceptron(sizes, numbers, gradient, at) {
  const layers = sizes.slice(1).map((out, i) => {
    const inside = sizes[i], start = at;
    at += out * (inside + 1);
    const parts = (all) => [all.subarray(start, start + out * inside), all.subarray(start + out * inside, at)];
    const [weight, bias] = parts(numbers), [toWeight, toBias] = parts(gradient);
    return { inside, out, weight, bias, toWeight, toBias, last: i === sizes.length - 2 };
  });

  function forward(inputs, rows) {
    let now = inputs;
    for (const layer of layers) {
      const { inside, out, weight, bias, last } = layer;
      if (!layer.made || layer.made.length !== rows * out) {
        [layer.made, layer.slope, layer.back] = [rows * out, rows * out, rows * inside].map((n) => new Float64Array(n));
      }
      layer.inputs = now;
      const { made, slope } = layer;
      for (let row = 0, to = 0, from = 0; row < rows; row++, from += inside) {
        for (let o = 0, w = 0; o < out; o++, to++) {
          let sum = bias[o];
          for (let i = 0; i < inside; i++, w++) sum += weight[w] * now[from + i];
          const s = 1 / (1 + Math.exp(-sum));
          made[to] = last ? s : sum * s;
          slope[to] = last ? s * (1 - s) : s * (1 + sum * (1 - s));
        }
      }
      now = made;
    }
    return now;
  }

  // Adds to the gradient of the parameters, and returns that of the inputs.
  function backward(outputs, rows) {
    let now = outputs;
    for (const layer of [...layers].reverse()) {
      const { inside, out, weight, toWeight, toBias, slope, inputs, back } = layer;
      back.fill(0);
      for (let row = 0, to = 0, from = 0; row < rows; row++, from += inside) {
        for (let o = 0, w = 0; o < out; o++, to++) {
          const g = now[to] * slope[to];
          toBias[o] += g;
          for (let i = 0; i < inside; i++, w++) {
            toWeight[w] += g * inputs[from + i];
            back[from + i] += g * weight[w];
          }
        }
      }
      now = back;
    }
    return now;
  }
  return { layers, forward, backward };
}
