// Small helpers for building a view: elements, labelled controls, and work that leaves room for frames.

export function node(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && name !== "list" && name !== "role") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// A select of [value, words] pairs that shows and sets one name of the store.
export function choice(words, options, store, name) {
  const select = node("select", {}, ...options.map(([value, text]) => node("option", { value }, text)));
  const show = () => (select.value = store.get(name));
  select.addEventListener("change", () => store.set(name, select.value));
  store.on(name, show);
  show();
  return node("label", { className: "field" }, `${words} `, select);
}

export function checkbox(words, store, name) {
  const box = node("input", { type: "checkbox" });
  const show = () => (box.checked = store.get(name));
  box.addEventListener("change", () => store.set(name, box.checked));
  store.on(name, show);
  show();
  return node("label", { className: "field" }, box, ` ${words}`);
}

export function nextFrame() {
  return new Promise((resolve) => requestAnimationFrame(resolve));
}

// Runs a generator to its end, a few milliseconds a frame; false if `wanted()` no longer holds.
export async function gently(work, wanted, budget = 7) {
  let start = performance.now();
  for (const step of work) {
    if (performance.now() - start < budget) continue;
    await nextFrame();
    if (!wanted()) return false;
    start = performance.now();
  }
  return wanted();
}

// At most one call a frame, however often it is asked for.
export function oncePerFrame(draw, signal) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      if (!signal?.aborted) draw();
    });
  };
}

export function cssColor(element, name) {
  return getComputedStyle(element).getPropertyValue(name).trim();
}
