// What the explorer says of a code, in words for everyone who reads or hears it.

export function short(number) {
  if (Math.abs(number) < 1e-6) return "0"; // as rounding leaves it
  if (Math.abs(number) < 0.005) return number.toPrecision(1).replace(/-/g, "−");
  const digits = Math.abs(number) >= 100 ? 0 : Math.abs(number) >= 10 ? 1 : 2;
  return number.toFixed(digits).replace("-", "−");
}

export function codeWords(z) {
  const listed = z.length > 4 ? [...z.slice(0, 3).map(short), `… ${z.length} numbers`] : z.map(short);
  return `z = (${listed.join(", ")})`;
}

// `near` is the nearest real image's {index, distance}; usual is the median from a code to its neighbour.
export function nearWords(near, label, usual, far) {
  if (near.index < 0) return "no real image is shown";
  const times = usual > 0 ? `${short(near.distance / usual)} × the usual` : "";
  const none = `; no data near: ${times || "further than the usual"} distance`;
  const hole = near.distance > far ? none : times && ` (${times})`;
  const who = label === null ? `nearest real image no. ${near.index + 1}` : `nearest real image: ${label}`;
  return `${who}, distance ${short(near.distance)}${hole}`;
}

export function looksLike(label) {
  return label === null ? "" : `looks like ${label} by the nearest code; `;
}

export function hexColor(rgb) {
  const level = (value) => Math.min(255, Math.max(0, Math.round(255 * value)));
  return "#" + Array.from(rgb, (value) => level(value).toString(16).padStart(2, "0")).join("");
}
