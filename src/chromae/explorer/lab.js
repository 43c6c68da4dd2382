// The colour lab: the autoencoder of notebook 01 trains while you watch, with a switch for the line that made it flicker.
import { node, choice } from "./dom.js";
import { chart } from "./chart.js";
import { cubeView } from "./cube.js";
import { trainer } from "./train.js";

const POINTS = 29; // of the sheet in the cube, a side
const SHOWN = 3; // changes of the whole plane a second, unless the reader asks for more

// What an address may say: what the switches have.
export function allowed(scene) {
  return Object.fromEntries(
    Object.entries(scene.options).map(([name, [, options]]) => [name, (value) => options.some(([it]) => it === value)]),
  );
}

export function mount(root, scene, blob, store, signal) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const plane = node("canvas", { width: 200, height: 200, className: "plane" });
  plane.setAttribute("role", "img");
  const cube = cubeView(store, signal);
  const errors = chart("test MSE on 10,000 held-out colours", {
    low: 0.004, high: 0.13, ticks: [0.005, 0.01, 0.02, 0.05, 0.1],
    limits: [[1 / 12, "always mid-grey, 1/12"], [1 / 36, "best linear code, 1/36"]],
  }, "Test error over epochs, on a logarithmic axis");
  const changes = chart("change of the plane since the epoch before, of 255", {
    low: 0.1, high: 60, ticks: [0.1, 1, 10, 50],
  }, "Change from frame to frame over epochs, on a logarithmic axis");
  const says = node("output", { className: "says" });
  const told = node("p", { className: "hidden", "aria-live": "polite" });
  const run = node("button", { onclick: () => play(!now.running) }, "Run");
  const step = node("button", {
    onclick: () => (play(false), oneEpoch(), showAll()),
    onkeydown: (event) => event.repeat && event.key === "Enter" && event.preventDefault(), // a key held down would make it flicker
  }, "One epoch");
  const reset = node("button", { onclick: () => (play(false), begin()) }, "Start again");
  const now = { running: false, full: false, run: null, errors: [], changes: [], last: null, frame: 0, shownAt: 0, toldAt: 0 };

  function begin() {
    const hidden = store.get("hidden") === "" ? [] : store.get("hidden").split("-").map(Number);
    const { batch, seed } = { batch: Number(store.get("batch")), seed: Number(store.get("seed")) };
    now.run = trainer({ hidden, batch, seed, ...changeable() });
    Object.assign(now, { errors: [], changes: [], last: now.run.picture(50) });
    showAll();
  }

  function changeable() {
    return { slip: store.get("slip") === "epoch", triplet: store.get("loss") === "triplet", lr: Number(store.get("lr")) };
  }

  // Trains until an epoch ends or the time is up; true at its end.
  function train(until) {
    if (now.run.state.seen === 0) Object.assign(now.run.settings, changeable()); // switches act between epochs
    do {
      if (now.run.step()) return noted();
    } while (performance.now() < until);
    return false;
  }

  function noted() {
    const { slip } = now.run.settings, small = now.run.picture(50);
    let away = 0;
    for (let i = 0; i < small.length; i++) away += Math.abs(small[i] - now.last[i]);
    now.last = small;
    now.errors.push({ value: now.run.error(), slip });
    now.changes.push({ value: away / (0.75 * small.length), slip });
    return true;
  }

  function oneEpoch() {
    while (!train(Infinity));
  }

  function frame(time) {
    if (!now.running || signal.aborted) return;
    const wait = 1000 / (calm ? 1 : SHOWN); // between changes of the plane
    const due = time - now.shownAt >= wait;
    if (now.full) {
      if (train(performance.now() + 14)) showAll();
    } else if (store.get("pace") === "watch") {
      if (now.ready || train(performance.now() + 14)) now.ready = true;
      if (now.ready && due) showAll(time);
    } else {
      const until = performance.now() + 14;
      while (performance.now() < until) now.ready = train(until) || now.ready;
      if (now.ready && due) showAll(time);
    }
    now.frame = requestAnimationFrame(frame);
  }

  function showAll(time = performance.now()) {
    Object.assign(now, { shownAt: time, ready: false });
    const { epoch } = now.run.state;
    plane.getContext("2d").putImageData(new ImageData(now.run.picture(200), 200, 200), 0, 0);
    plane.setAttribute("aria-label", `What the decoder makes of the unit square after ${epoch} epochs`);
    cube.show(now.run.sheet(POINTS), POINTS);
    errors.show(now.errors);
    changes.show(now.changes);
    const [error, change] = [now.errors.at(-1), now.changes.at(-1)];
    const numbers = `${now.run.numbers.length.toLocaleString("en")} numbers`;
    says.textContent = error
      ? `${numbers}, epoch ${epoch}: test MSE ${error.value.toFixed(5)}, the plane changed by ${change.value.toFixed(2)} of 255.`
      : `${numbers}, untrained. Press Run.`;
    if (!now.running || time - now.toldAt > 5000) {
      told.textContent = says.textContent;
      now.toldAt = time;
    }
  }

  function play(running) {
    now.running = running;
    run.textContent = running ? "Pause" : "Run";
    run.setAttribute("aria-pressed", String(running));
    cancelAnimationFrame(now.frame);
    if (running) now.frame = requestAnimationFrame(frame);
    else told.textContent = says.textContent;
  }

  const warned = node("input", { type: "checkbox", onchange: () => (now.full = warned.checked) });
  const fields = Object.entries(scene.options).map(([name, [words, options]]) => choice(words, options, store, name));
  for (const name of ["batch", "hidden", "seed"]) store.on(name, () => (play(false), begin()));
  root.classList.add("lab");
  root.append(
    node("h1", {}, scene.title),
    ...scene.intro.map((text) => node("p", {}, text)),
    node("div", { className: "fields" }, ...fields),
    node("div", { className: "fields" }, run, step, reset),
    node("details", {}, node("summary", {}, "Full speed (it may flicker)"), node("p", {},
      "Shows every epoch as soon as it is trained: with the slip, the whole plane changes colour up to sixty times a " +
      "second. Please leave it off if flicker can harm you."), node("label", { className: "field" }, warned,
      " I have read this; show every epoch")),
    says, told,
    node("div", { className: "pictures" },
      node("figure", { className: "plot" }, node("figcaption", {}, "the decoded plane: two numbers, across and up"), plane),
      node("figure", { className: "plot" }, node("figcaption", {}, "the same sheet inside the RGB cube; drag to turn"), cube.element),
      errors.element, changes.element),
    node("p", { className: "faint" }, scene.note),
  );
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => showAll(), { signal });
  if (calm) root.querySelector("details").hidden = true;
  begin();
}
