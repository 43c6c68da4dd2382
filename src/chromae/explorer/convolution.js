// Convolutions and transposed convolutions as gathers: every output pixel adds up what it needs, four channels and two
// pixels at a time, from a copy of the input with zeros around it. A transposed convolution of stride s is s² small
// convolutions, one for each remainder of an output pixel's place, so that no product with an inserted zero is made.

export function convolution(layer, form, read) {
  const [channels, inside, high, wide] = layer.weight.shape;
  const weight = read(layer.weight);
  const [rows, columns] = [0, 1].map((axis) => {
    const size = axis ? form.width : form.height;
    return axisOf(layer, axis, size, axis ? wide : high);
  });
  const bias = read(layer.bias);
  const to = { height: rows.size, width: columns.size, channels, size: rows.size * columns.size * channels };
  const padded = (columns.before + form.width + columns.after) * inside;
  const input = new Float64Array((rows.before + form.height + rows.after) * padded);
  const out = new Float64Array(to.size);
  const groups = Math.ceil(channels / 4);
  const phases = rows.phases.flatMap((row) => columns.phases.map((column) => ({ row, column })));
  for (const phase of phases) Object.assign(phase, packed(phase, { weight, channels, inside, high, wide, groups, padded }));

  const run = (numbers) => {
    const start = rows.before * padded + columns.before * inside;
    const line = form.width * inside;
    for (let y = 0; y < form.height; y++) {
      for (let i = 0, from = y * line, to = start + y * padded; i < line; i++) input[to + i] = numbers[from + i];
    }
    for (const { row, column, taps, weights } of phases) {
      for (let y = 0; y < row.count; y++) {
        const line = (y * row.jump + rows.before) * padded + columns.before * inside;
        const target = ((row.first + y * row.step) * to.width + column.first) * channels;
        for (let group = 0; group < groups; group++) {
          const at = group * taps.length * inside * 4;
          const [step, jump] = [column.step * channels, column.jump * inside];
          gather(input, line, jump, taps, inside, weights, at, bias, 4 * group, out, target, step, column.count);
        }
      }
    }
    return out;
  };
  return { run, form: to };
}

// One row of outputs: `count` pixels, the four channels from `channel` on (or as many as there are).
function gather(input, line, jump, taps, inside, weights, at, bias, channel, out, target, step, count) {
  const left = Math.min(4, bias.length - channel);
  const [b0, b1, b2, b3] = [0, 1, 2, 3].map((i) => (i < left ? bias[channel + i] : 0));
  for (let x = 0; x < count; x += 2) {
    const second = x + 1 < count ? jump : 0; // an odd last pixel is made twice
    let p0 = b0, p1 = b1, p2 = b2, p3 = b3, q0 = b0, q1 = b1, q2 = b2, q3 = b3, w = at;
    for (let tap = 0; tap < taps.length; tap++) {
      let from = line + x * jump + taps[tap];
      for (const end = from + inside; from < end; from++, w += 4) {
        const p = input[from], q = input[from + second];
        const w0 = weights[w], w1 = weights[w + 1], w2 = weights[w + 2], w3 = weights[w + 3];
        p0 += p * w0; p1 += p * w1; p2 += p * w2; p3 += p * w3;
        q0 += q * w0; q1 += q * w1; q2 += q * w2; q3 += q * w3;
      }
    }
    const to = target + x * step + channel, next = second ? to + step : to;
    out[to] = p0; out[next] = q0;
    if (left > 1) { out[to + 1] = p1; out[next + 1] = q1; }
    if (left > 2) { out[to + 2] = p2; out[next + 2] = q2; }
    if (left > 3) { out[to + 3] = p3; out[next + 3] = q3; }
  }
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

// A phase's weights, [four channels][tap][input channel][which of the four], and where its taps lie in the input.
function packed({ row, column }, { weight, channels, inside, high, wide, groups, padded }) {
  const both = row.taps.flatMap((y) => column.taps.map((x) => ({ y, x })));
  const taps = Int32Array.from(both, ({ y, x }) => y.away * padded + x.away * inside);
  const weights = new Float64Array(groups * both.length * inside * 4);
  for (let out = 0; out < channels; out++) {
    both.forEach(({ y, x }, tap) => {
      for (let c = 0; c < inside; c++) {
        const at = ((Math.floor(out / 4) * both.length + tap) * inside + c) * 4 + (out % 4);
        weights[at] = weight[((out * inside + c) * high + y.k) * wide + x.k];
      }
    });
  }
  return { taps, weights };
}
