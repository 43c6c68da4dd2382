// Planes through a latent space, as an origin and two directions at right angles, and what lies near in it.

export function innerProduct(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

export function along(z, direction, amount) {
  return z.map((value, i) => value + amount * direction[i]);
}

export function minus(a, b) {
  return Array.from(a, (value, i) => value - b[i]);
}

export function unitVector(v) {
  const length = Math.sqrt(innerProduct(v, v));
  return length > 1e-12 ? v.map((value) => value / length) : null;
}

export function basisVector(size, index) {
  return Array.from({ length: size }, (_, i) => (i === index ? 1 : 0));
}

// Two directions of length 1 at right angles that span what these two span; other axes stand in where they span less.
export function orthonormal(first, second) {
  const size = first.length;
  const spare = Array.from({ length: size }, (_, i) => basisVector(size, i));
  const u = unitVector(first) ?? spare[0];
  for (const candidate of [second, ...spare]) {
    const rest = along(Array.from(candidate), u, -innerProduct(candidate, u));
    const v = innerProduct(rest, rest) > 1e-12 * innerProduct(candidate, candidate) ? unitVector(rest) : null;
    if (v) return [u, v];
  }
}

// What these directions have beside the plane and each other, in their order: of length 1, null where that is nothing.
export function besidePlane({ u, v }, directions) {
  const known = [u, v];
  return directions.map((given) => {
    const rest = known.reduce((left, it) => along(left, it, -innerProduct(left, it)), Array.from(given));
    const found = innerProduct(rest, rest) > 1e-6 * innerProduct(given, given) ? unitVector(rest) : null;
    if (found) known.push(found);
    return found;
  });
}

// The plane that the state asks for. `local` are two directions at a point, once they are known.
export function planeOf(kind, space, { dims, corners, local }) {
  const zero = new Array(space.size).fill(0);
  if (kind === "dims" || space.size === 2) {
    const [i, j] = space.size === 2 ? [0, 1] : dims;
    const names = [`latent ${i + 1}`, `latent ${j + 1}`];
    return { origin: zero, u: basisVector(space.size, i), v: basisVector(space.size, j), names };
  }
  if (kind === "three" && corners) {
    const [u, v] = orthonormal(minus(corners[1], corners[0]), minus(corners[2], corners[0]));
    return { origin: Array.from(corners[0]), u, v, names: ["from the first image to the second", "towards the third"] };
  }
  if (kind === "local" && local) {
    const names = ["what changes the picture most here", "what changes it second most"];
    return { origin: local.at, u: local.u, v: local.v, names };
  }
  const names = ["1st principal direction", "2nd principal direction"];
  return { origin: space.center, u: space.axes[0], v: space.axes[1], names };
}

export function project(plane, z) {
  const from = minus(z, plane.origin);
  return [innerProduct(from, plane.u), innerProduct(from, plane.v)];
}

export function projectAll(plane, codes, size) {
  const count = codes.length / size;
  const points = new Float32Array(2 * count);
  const { origin, u, v } = plane;
  for (let n = 0; n < count; n++) {
    let a = 0;
    let b = 0;
    for (let i = 0; i < size; i++) {
      const from = codes[n * size + i] - origin[i];
      a += from * u[i];
      b += from * v[i];
    }
    points[2 * n] = a;
    points[2 * n + 1] = b;
  }
  return points;
}

// The code at a place of the map: that of the finger, moved within the plane. What lies off the plane stays.
export function lift(plane, z, place) {
  const [a, b] = project(plane, z);
  return along(along(z, plane.u, place[0] - a), plane.v, place[1] - b);
}

// How far every code lies from the plane through z, squared: then a distance on it needs two numbers only.
export function offPlane(plane, z, codes, size, points) {
  const here = project(plane, z);
  const off = new Float32Array(codes.length / size);
  for (let n = 0; n < off.length; n++) {
    let sum = 0;
    for (let i = 0; i < size; i++) sum += (codes[n * size + i] - z[i]) ** 2;
    off[n] = Math.max(0, sum - (points[2 * n] - here[0]) ** 2 - (points[2 * n + 1] - here[1]) ** 2);
  }
  return off;
}

// The nearest of the points that are shown, with what they lie off the plane; index -1 if none is.
export function nearestPoint(a, b, points, off, shown) {
  let best = Infinity;
  let index = -1;
  for (let n = 0; n < off.length; n++) {
    if (!shown[n]) continue;
    const x = points[2 * n] - a;
    const y = points[2 * n + 1] - b;
    const distance = x * x + y * y + off[n];
    if (distance < best) {
      best = distance;
      index = n;
    }
  }
  return { index, distance: Math.sqrt(best) };
}

// A box that holds all but the outermost points, and all of `also`.
export function boxAround(points, also = []) {
  const side = (offset) => {
    const values = points.filter((_, i) => i % 2 === offset).sort();
    const at = (part) => values[Math.round(part * (values.length - 1))];
    const [low, high] = [at(0.005), at(0.995)];
    const margin = 0.06 * (high - low) || 1;
    const ends = also.flatMap((place) => [place[offset] - margin, place[offset] + margin]);
    return [Math.min(low - margin, ...ends), Math.max(high + margin, ...ends)];
  };
  const [x, y] = [side(0), side(1)];
  return [[x[0], y[0]], [x[1], y[1]]];
}
