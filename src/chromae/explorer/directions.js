// Local axes of a decoder: the directions of the latent space in which its picture changes most.
import { along, basisVector, innerProduct, orthonormal, unitVector } from "./planes.js";

// The two directions in which the picture changes most at z: the leading right singular vectors of the decoder's
// Jacobian, by central differences. Yields after every latent; the answer is in `found`.
export function* strongestDirections(decode, z, step, found) {
  const columns = [];
  for (let i = 0; i < z.length; i++) {
    const unit = basisVector(z.length, i);
    const ahead = Float32Array.from(decode(along(z, unit, step)));
    const behind = decode(along(z, unit, -step));
    columns.push(ahead.map((value, k) => (value - behind[k]) / (2 * step)));
    yield;
  }
  const gram = columns.map((a) => columns.map((b) => innerProduct(a, b)));
  const [first, strength] = leading(gram, basisVector(z.length, 0));
  const rest = gram.map((row, i) => row.map((value, j) => value - strength * first[i] * first[j]));
  const [second] = leading(rest, basisVector(z.length, 1));
  const [u, v] = orthonormal(first, second);
  Object.assign(found, { at: Array.from(z), u, v });
}

// The leading eigenvector and eigenvalue of a symmetric matrix, by powers of it.
function leading(matrix, start) {
  let vector = start.map((value, i) => value + 0.1 * Math.cos(1 + i));
  for (let turn = 0; turn < 300; turn++) {
    const next = unitVector(matrix.map((row) => innerProduct(row, vector)));
    if (!next) break;
    vector = next;
  }
  return [vector, innerProduct(vector, matrix.map((row) => innerProduct(row, vector)))];
}
