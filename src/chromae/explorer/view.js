// One model under the finger: its map, the pictures beside it, and a sentence that says what is there.
import { node, gently, oncePerFrame, cssColor } from "./dom.js";
import { drawGround, drawHoles, drawPictures, groundCanvas } from "./ground.js";
import { latentMap } from "./map.js";
import { panes } from "./panes.js";
import { innerProduct, lift, minus, planeOf, project, projectAll } from "./planes.js";
import { boxAround, nearestPoint, offPlane } from "./planes.js";
import { strongestDirections } from "./directions.js";
import { codeWords, looksLike, nearWords, short } from "./words.js";

// `shared` has scene, pictures, store, signal, shown(), colorOf(n) and, for colours, hexOf(n); `act` has move(z),
// trace(places, done), tracing() and refresh().
export function modelView(space, shared, act) {
  const { scene, pictures, store, signal } = shared;
  const images = panes(scene.shape);
  const says = node("output", { "aria-live": "polite", className: "says" });
  const hoverCard = card(pictures);
  const [ground, holes] = [groundCanvas(), groundCanvas()];
  const seen = { z: null, epoch: 0, plane: null, local: null, finds: 0, turn: {}, keys: {} };
  const name = space.name ? `Latent map of ${space.name}` : "Latent map";
  const map = latentMap(name, {
    place: () => project(seen.plane, seen.z),
    move(a, b) {
      seen.z = lift(seen.plane, seen.z, [a, b]); // at once, for keys may come faster than frames
      act.move(seen.z);
    },
    hover: (a, b) => hoverAt(a, b),
    trace: (places, done) => act.trace(places, done),
    tracing: () => act.tracing(),
  }, signal);
  map.element.append(hoverCard.element);
  let spoken = 0;
  let spokenAt = -Infinity;

  const labelOf = (index) => (index < 0 || !scene.classes.length ? null : scene.classes[scene.labels[index]]);
  const nameOf = (index) => labelOf(index) ?? shared.hexOf?.(index) ?? null;
  const nearTo = ([a, b]) => nearestPoint(a, b, seen.points, seen.off, shared.shown());
  const changedKey = (name, ...values) => {
    const key = JSON.stringify(values);
    const changed = seen.keys[name] !== key;
    seen.keys[name] = key;
    return changed;
  };
  const codeOf = (index) => Array.from(seen.codes.subarray(index * space.size, (index + 1) * space.size));

  function hoverAt(a, b) {
    if (a === null || !seen.plane) return hoverCard.hide();
    const near = nearTo([a, b]);
    if (near.index < 0) return hoverCard.hide();
    const label = nameOf(near.index);
    hoverCard.show(near.index, `${label === null ? "" : `${label}, `}${short(near.distance)} away`, a, b, seen.box);
  }

  // Which plane: found again when the reader asks for another one, or at another epoch.
  function findPlane(leads) {
    const [axes, dims, three, at] = ["axes", "dims", "three", "at"].map((name) => store.get(name));
    if (!changedKey("plane", axes, dims, three, leads ? at : [], seen.epoch, seen.finds)) return false;
    const local = leads && axes === "local" && at.length === space.size;
    if (local) findLocal(at);
    const corners = three.map((index) => codeOf(Math.min(Math.max(0, index), scene.count - 1)));
    seen.plane = planeOf(axes, space, { dims, corners, local: local ? seen.local : null });
    seen.corners = axes === "three" && space.size > 2 ? corners : null;
    seen.points = projectAll(seen.plane, seen.codes, space.size);
    const last = space.codes(space.epochs - 1);
    const marked = (seen.corners ?? []).map((code) => project(seen.plane, code));
    seen.box = space.box ?? boxAround(projectAll(seen.plane, last, space.size), marked);
    return true;
  }

  async function findLocal(at) {
    const turn = (seen.turn.local = {});
    const decoder = space.decoder(seen.epoch);
    if (!decoder || (seen.local && String(seen.local.at) === String(at) && seen.localEpoch === seen.epoch)) return;
    const found = {};
    const step = 0.05 * Math.sqrt(innerProduct(space.spread, space.spread) / space.spread.length) || 0.01;
    const work = strongestDirections((z) => decoder.run(Float32Array.from(z)), at, step, found);
    if (!(await gently(work, () => seen.turn.local === turn && !signal?.aborted))) return;
    seen.local = found;
    seen.localEpoch = seen.epoch;
    seen.finds += 1; // the plane is another one, and with it all that lies on it
    act.refresh();
  }

  function redrawGround(kind) {
    const turn = (seen.turn.ground = {});
    const context = ground.getContext("2d");
    const decoder = space.decoder(seen.epoch);
    const wanted = () => seen.turn.ground === turn && !signal?.aborted;
    if (kind === "pictures") drawPictures(ground, pictures, seen.points, shared.shown(), seen.box);
    else if (!decoder || kind === "plain") context.clearRect(0, 0, ground.width, ground.height);
    else {
      const { plane, z, box } = seen;
      const codeAt = (a, b) => Float32Array.from(lift(plane, z, [a, b]));
      drawGround(ground, kind, decoder, scene.shape, box, codeAt, wanted, repaint);
    }
  }

  function redrawHoles() {
    const turn = (seen.turn.holes = {});
    const { points, off, box } = seen;
    const shown = shared.shown();
    const colors = { paper: cssColor(map.canvas, "--paper"), ink: cssColor(map.canvas, "--ink") };
    const distanceAt = (a, b) => nearestPoint(a, b, points, off, shown).distance;
    const wanted = () => seen.turn.holes === turn && !signal?.aborted;
    drawHoles(holes, box, distanceAt, space.far(seen.epoch), colors, wanted, repaint);
  }

  const paintMap = () => {
    const kind = store.get("ground");
    const grounds = [...(kind === "plain" ? [] : [ground]), ...(store.get("holes") ? [holes] : [])];
    const near = seen.near.index;
    const marks = near < 0 ? [] : [{ place: [seen.points[2 * near], seen.points[2 * near + 1]], words: "" }];
    if (seen.corners) {
      const words = ["first", "second", "third"];
      marks.push(...seen.corners.map((code, k) => ({ place: project(seen.plane, code), words: words[k] })));
    }
    if (seen.yours) marks.push({ place: project(seen.plane, seen.yours), words: "yours" });
    const dots = store.get("dots") && kind !== "pictures" ? `${seen.keys.plane} ${store.get("hide")}` : null;
    map.show({
      dots, box: seen.box, finger: project(seen.plane, seen.z), points: seen.points, shown: shared.shown(),
      colorOf: shared.colorOf, plain: kind === "plain",
      sharp: scene.shape[1] * scene.shape[2] === 1, grounds, marks, path: seen.path, names: seen.plane.names,
      says: seen.says,
    });
  };
  const repaint = oncePerFrame(paintMap, signal);

  function say(text) {
    seen.says = text;
    clearTimeout(spoken); // a reader who drags hears where the finger comes to rest, and twice a second on the way
    const tell = () => {
      says.textContent = text;
      spokenAt = performance.now();
    };
    if (performance.now() - spokenAt > 500) tell();
    else spoken = setTimeout(tell, 120);
  }

  return {
    element: node("section", { className: "model" }, space.name ? node("h2", {}, space.name) : null,
      node("div", { className: "beside" }, map.element, node("div", {}, images.element, says))),
    space, map,
    get plane() { return seen.plane; },
    get box() { return seen.box; },
    get z() { return seen.z; },
    get near() { return seen.near; },
    // Of the dots on the map, the nearest to the finger, however far its code may lie off the plane.
    get dot() {
      return nearestPoint(...project(seen.plane, seen.z), seen.points, new Uint8Array(scene.count), shared.shown()).index;
    },
    onPlane: () => lift(seen.plane, seen.plane.origin, project(seen.plane, seen.z)),
    get epoch() { return seen.epoch; },
    get place() { return project(seen.plane, seen.z); },
    get sliceKey() { return seen.keys.plane + seen.keys.off; },
    codeFrom: (z, place) => lift(seen.plane, z, place),
    codeOf: (index, epoch) => Array.from(space.codes(epoch).subarray(index * space.size, (index + 1) * space.size)),
    // Shows a code: `leads` if this is the map under the finger; what does not depend on it is not drawn again.
    show(z, { leads, path, yours }) {
      const epoch = Math.min(store.get("epoch"), space.epochs - 1);
      Object.assign(seen, { z, epoch, path: leads ? path : [], codes: space.codes(epoch), yours: yours?.code ?? null });
      const moved = findPlane(leads);
      const rest = minus(z, lift(seen.plane, seen.plane.origin, project(seen.plane, z)));
      const slice = rest.map((value) => Math.round(value * 1e5));
      if (changedKey("off", slice) || moved) seen.off = offPlane(seen.plane, z, seen.codes, space.size, seen.points);
      seen.near = nearTo(project(seen.plane, z));
      const kind = store.get("ground");
      const hide = store.get("hide");
      const lies = seen.keys.plane + (space.size > 2 ? seen.keys.off : "");
      if (changedKey("ground", kind, lies, kind === "pictures" ? hide : 0)) redrawGround(kind);
      if (store.get("holes") && changedKey("holes", lies, hide, matchMedia("(prefers-color-scheme: dark)").matches)) {
        redrawHoles();
      }
      const label = labelOf(seen.near.index);
      const decoder = space.decoder(epoch);
      const near = nearWords(seen.near, nameOf(seen.near.index), space.usual(epoch), space.far(epoch));
      say(`${codeWords(z)}: ${looksLike(label)}${near}`);
      if (seen.near.index >= 0 && changedKey("near", seen.near.index, epoch)) {
        images.real(1, pictures, seen.near.index, nameOf(seen.near.index));
        if (decoder) images.decoded(2, decoder.run(Float32Array.from(codeOf(seen.near.index))));
      }
      if (yours) images.drawn(3, yours.image);
      if (decoder) images.decoded(0, (seen.picture = decoder.run(Float32Array.from(z))));
      const can = [decoder, seen.near.index >= 0, decoder && seen.near.index >= 0];
      const wanted = store.get("show").filter((at) => can[at]);
      images.keep(yours ? [...wanted, 3] : wanted);
      paintMap();
      return decoder ? seen.picture : null;
    },
  };
}

// The card beside the pointer: the real image that is nearest to where it hovers.
function card(pictures) {
  const canvas = node("canvas", {});
  [canvas.width, canvas.height] = [pictures.width, pictures.height];
  const words = node("span", {});
  const element = node("div", { className: "hovercard", hidden: true, "aria-hidden": "true" }, canvas, words);
  return {
    element,
    hide: () => (element.hidden = true),
    show(index, text, a, b, [low, high]) {
      pictures.draw(canvas.getContext("2d"), index, 0, 0, pictures.width, pictures.height);
      words.textContent = text;
      element.hidden = false;
      const [x, y] = [(a - low[0]) / (high[0] - low[0]), (high[1] - b) / (high[1] - low[1])];
      element.style.left = `${100 * x}%`;
      element.style.top = `${100 * y}%`;
      const aside = (part) => (part > 0.5 ? "calc(-100% - 14px)" : "14px");
      element.style.transform = `translate(${aside(x)}, ${aside(y)})`;
    },
  };
}
