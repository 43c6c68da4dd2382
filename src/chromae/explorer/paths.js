// Paths through a latent space that move evenly in what one sees: at equal steps of the decoded picture.

// `count` places along the line through `corners`, so that the pictures at neighbours differ equally.
// Yields while it decodes; the answer is in `found.places`. `pictureAt(place)` may return a buffer that it uses again.
export function* evenPath(corners, pictureAt, count, found) {
  const lengths = [0];
  for (let i = 1; i < corners.length; i++) {
    lengths.push(lengths[i - 1] + Math.hypot(...corners[i].map((value, k) => value - corners[i - 1][k])));
  }
  const total = lengths[lengths.length - 1];
  if (total === 0) {
    found.places = Array.from({ length: count }, () => corners[0]);
    return;
  }
  const placeAt = (s) => {
    let i = 1;
    while (i < corners.length - 1 && lengths[i] < s) i++;
    const part = (s - lengths[i - 1]) / (lengths[i] - lengths[i - 1] || 1);
    return corners[i].map((value, k) => corners[i - 1][k] + part * (value - corners[i - 1][k]));
  };
  const sample = (s) => ({ s, seen: thinned(pictureAt(placeAt(s))), ahead: 0 });
  let samples = [];
  for (const s of startingPoints(lengths, total)) {
    samples.push(sample(s));
    yield;
  }
  for (let round = 0; round < 8; round++) {
    const seen = measure(samples);
    const finer = [samples[0]];
    for (let i = 1; i < samples.length; i++) {
      const long = samples[i - 1].ahead > seen / (2 * count) && samples.length + finer.length < 8 * count;
      if (long) finer.push(sample((samples[i - 1].s + samples[i].s) / 2));
      finer.push(samples[i]);
      if (long) yield;
    }
    if (finer.length === samples.length) break;
    samples = finer;
  }
  found.places = spacedOut(samples, measure(samples), count).map(placeAt);
}

function startingPoints(lengths, total) {
  const even = Array.from({ length: 25 }, (_, i) => (i / 24) * total);
  return [...new Set([...even, ...lengths])].sort((a, b) => a - b);
}

// How far every sample's picture is from the next, and the length of it all.
function measure(samples) {
  let total = 0;
  for (let i = 1; i < samples.length; i++) {
    samples[i - 1].ahead = pictureDistance(samples[i - 1].seen, samples[i].seen);
    total += samples[i - 1].ahead;
  }
  return total;
}

function spacedOut(samples, total, count) {
  const places = [];
  let i = 0;
  let passed = 0;
  for (let k = 0; k < count; k++) {
    const wanted = (total * k) / (count - 1);
    while (i < samples.length - 2 && passed + samples[i].ahead < wanted) passed += samples[i++].ahead;
    const part = samples[i].ahead > 0 ? Math.min(1, (wanted - passed) / samples[i].ahead) : 0;
    places.push(samples[i].s + part * (samples[i + 1].s - samples[i].s));
  }
  return places;
}

export function pictureDistance(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return Math.sqrt(sum);
}

// A copy of at most about 4,000 values, enough to tell pictures apart by.
function thinned(picture) {
  const stride = Math.max(1, Math.floor(picture.length / 4096)) | 1;
  const kept = new Float32Array(Math.ceil(picture.length / stride));
  for (let i = 0; i < kept.length; i++) kept[i] = picture[i * stride];
  return kept;
}

// A drawn line with fewer corners: those further than `tolerance` from the line without them (Douglas and Peucker).
export function simplified(points, tolerance) {
  if (points.length < 3) return points;
  const [first, last] = [points[0], points[points.length - 1]];
  const [x, y] = [last[0] - first[0], last[1] - first[1]];
  const length = x * x + y * y;
  let worst = 0;
  let at = 0;
  for (let i = 1; i < points.length - 1; i++) {
    const [a, b] = [points[i][0] - first[0], points[i][1] - first[1]];
    const part = length ? Math.min(1, Math.max(0, (a * x + b * y) / length)) : 0;
    const distance = Math.hypot(a - part * x, b - part * y);
    if (distance > worst) [worst, at] = [distance, i];
  }
  if (worst <= tolerance) return [first, last];
  return [...simplified(points.slice(0, at + 1), tolerance).slice(0, -1), ...simplified(points.slice(at), tolerance)];
}
