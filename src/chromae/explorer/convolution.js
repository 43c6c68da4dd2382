// Convolutions and transposed convolutions as gathers: every output pixel adds up what it needs, eight channels at a
// time. Of the input, only what isn't zero is listed, pixel by pixel: behind a ReLU that is half, around the edges none.
// A transposed convolution of stride s is s² small convolutions, one for each remainder of an output pixel's place.

export function convolution(layer, form, read) {
  const [channels, inside, high, wide] = layer.weight.shape;
  const [rows, columns] = [0, 1].map((axis) => axisOf(layer, axis, [form.height, form.width][axis], [high, wide][axis]));
  const to = { height: rows.size, width: columns.size, channels, size: rows.size * columns.size * channels };
  const out = new Float64Array(to.size);
  const padded = columns.before + form.width + columns.after; // pixels in a line
  const pixels = (rows.before + form.height + rows.after) * padded;
  const listed = {
    begin: new Int32Array(pixels), end: new Int32Array(pixels), // of each pixel, in the two below
    values: new Float64Array(form.size), channels: new Uint16Array(form.size),
  };
  const [weight, bias] = [read(layer.weight), read(layer.bias)];
  const grouped = groupsOf(weight, channels, inside, high * wide);
  const phases = rows.phases.flatMap((row) => columns.phases.map((column) => phaseOf(row, column, wide, padded)));

  const run = (numbers) => {
    sift(numbers, form, rows.before * padded + columns.before, padded, listed);
    for (const { row, column, taps, aways } of phases) {
      for (const { channel, gather, weights } of grouped) {
        const tapped = taps.map((tap) => weights[tap]);
        for (let y = 0; y < row.count; y++) {
          const start = (y * row.jump + rows.before) * padded + columns.before;
          const target = ((row.first + y * row.step) * to.width + column.first) * channels + channel;
          for (let x = 0; x < column.count; x++) {
            gather(listed, start + x * column.jump, aways, tapped, bias, channel, out, target + x * column.step * channels);
          }
        }
      }
    }
    return out;
  };
  return { run, form: to };
}

// What isn't zero of a map: the numbers and their channels, pixel by pixel.
function sift(numbers, { height, width, channels: count }, first, padded, { begin, end, values, channels }) {
  for (let y = 0, i = 0, found = 0; y < height; y++) {
    for (let x = 0, pixel = first + y * padded; x < width; x++, pixel++) {
      begin[pixel] = found;
      for (let c = 0; c < count; c++, i++) {
        values[found] = numbers[i];
        channels[found] = c;
        found += numbers[i] !== 0 ? 1 : 0;
      }
      end[pixel] = found;
    }
  }
}

// Eight channels of one output pixel, into `out` from `to` on.
function eightChannels({ begin, end, values, channels }, pixel, aways, weights, bias, channel, out, to) {
  let a = bias[channel], b = bias[channel + 1], c = bias[channel + 2], d = bias[channel + 3];
  let e = bias[channel + 4], f = bias[channel + 5], g = bias[channel + 6], h = bias[channel + 7];
  for (let tap = 0; tap < aways.length; tap++) {
    const cell = pixel + aways[tap], weight = weights[tap];
    for (let i = begin[cell], stop = end[cell]; i < stop; i++) {
      const x = values[i], w = 8 * channels[i];
      a += x * weight[w]; b += x * weight[w + 1]; c += x * weight[w + 2]; d += x * weight[w + 3];
      e += x * weight[w + 4]; f += x * weight[w + 5]; g += x * weight[w + 6]; h += x * weight[w + 7];
    }
  }
  out[to] = a; out[to + 1] = b; out[to + 2] = c; out[to + 3] = d;
  out[to + 4] = e; out[to + 5] = f; out[to + 6] = g; out[to + 7] = h;
}

// One channel of one output pixel.
function oneChannel({ begin, end, values, channels }, pixel, aways, weights, bias, channel, out, to) {
  let sum = bias[channel];
  for (let tap = 0; tap < aways.length; tap++) {
    const cell = pixel + aways[tap], weight = weights[tap];
    for (let i = begin[cell], stop = end[cell]; i < stop; i++) sum += values[i] * weight[channels[i]];
  }
  out[to] = sum;
}

// Along one axis: how many outputs, the phases that they fall into, and how many zeros the input needs at its ends.
// A phase: its outputs are first, first + step, …; the n-th reads input n · jump + offset for each of its taps.
function axisOf(layer, axis, size, kernel) {
  const [stride, padding, extra] = [layer.stride[axis], layer.padding[axis], layer.extra[axis]];
  const turned = layer.kind === "conv_transpose";
  const outputs = turned
    ? (size - 1) * stride - 2 * padding + kernel + extra
    : Math.floor((size + 2 * padding - kernel) / stride) + 1;
  const phases = [];
  for (let first = 0; first < (turned ? stride : 1); first++) {
    const taps = [];
    for (let k = 0; k < kernel; k++) {
      const away = turned ? (first + padding - k) / stride : k - padding;
      if (Number.isInteger(away)) taps.push({ k, away });
    }
    const step = turned ? stride : 1;
    phases.push({ first, step, jump: turned ? 1 : stride, count: Math.ceil((outputs - first) / step), taps });
  }
  const reach = phases.flatMap(({ count, jump, taps }) => taps.flatMap(({ away }) => [away, away + (count - 1) * jump]));
  return { size: outputs, phases, before: Math.max(0, -Math.min(0, ...reach)), after: Math.max(0, Math.max(0, ...reach) - size + 1) };
}

// Groups of eight output channels, then of one; of each, the weights of every tap: [input channel][which of the group].
function groupsOf(weight, channels, inside, taps) {
  const found = [];
  for (let channel = 0, lanes = 8; channel < channels; channel += lanes) {
    if (channel + lanes > channels) lanes = 1;
    const weights = Array.from({ length: taps }, (_, tap) =>
      Float64Array.from({ length: inside * lanes }, (_, i) =>
        weight[((channel + (i % lanes)) * inside + Math.floor(i / lanes)) * taps + tap]));
    found.push({ channel, gather: lanes === 8 ? eightChannels : oneChannel, weights });
  }
  return found;
}

// The taps of a phase, and how many pixels of the input they lie away.
function phaseOf(row, column, wide, padded) {
  const both = row.taps.flatMap((y) => column.taps.map((x) => ({ tap: y.k * wide + x.k, away: y.away * padded + x.away })));
  return { row, column, taps: both.map(({ tap }) => tap), aways: Int32Array.from(both, ({ away }) => away) };
}
