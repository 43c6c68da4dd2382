// What a reader has set: one small store for page, widget and test alike.
// A store has get(name), set(name, value) and on(name, listener). Names are those of the state it began with.

export function memoryStore(state) {
  const listeners = new Map();
  const store = {
    names: Object.keys(state),
    get: (name) => state[name],
    set(name, value) {
      if (!(name in state)) throw new Error(`the state has no ${name}`);
      if (same(state[name], value)) return;
      state[name] = value;
      for (const listener of listeners.get(name) ?? []) listener(value);
    },
    on(name, listener) {
      listeners.set(name, [...(listeners.get(name) ?? []), listener]);
    },
  };
  return store;
}

// The state in the address: #z=0.25,0.5&epoch=3. Only what differs from the beginning stands there. What `allowed`, a
// function of the value for some of the names, does not take is as it was at the beginning.
export function hashStore(state, signal, allowed = {}) {
  const initial = { ...state };
  const store = memoryStore(state);
  let waiting = 0;
  const write = () => {
    waiting = 0;
    const changed = store.names.filter((name) => !same(store.get(name), initial[name]));
    const text = changed.map((name) => `${name}=${shown(store.get(name))}`).join("&");
    if (location.hash.slice(1) !== text) history.replaceState(null, "", `#${text}`);
  };
  const read = () => {
    const given = new URLSearchParams(location.hash.slice(1));
    let refused = false;
    for (const name of store.names) {
      const value = given.has(name) ? parsed(given.get(name), initial[name]) : initial[name];
      const taken = value !== undefined && (allowed[name]?.(value) ?? true);
      store.set(name, taken ? value : initial[name]);
      refused ||= !taken;
    }
    if (refused) write();
  };
  read();
  for (const name of store.names) store.on(name, () => (waiting ||= setTimeout(write, 200))); // browsers limit the rate
  addEventListener("hashchange", read, { signal });
  return store;
}

// The state of a Jupyter widget: Python sees every change, and makes some.
export function modelStore(model, names, signal) {
  const store = {
    names,
    get: (name) => model.get(name),
    set(name, value) {
      if (same(model.get(name), value)) return;
      model.set(name, value);
      model.save_changes();
    },
    on(name, listener) {
      const changed = () => listener(model.get(name));
      model.on(`change:${name}`, changed);
      signal?.addEventListener("abort", () => model.off(`change:${name}`, changed));
    },
  };
  return store;
}

function same(a, b) {
  return Array.isArray(a) && Array.isArray(b) ? a.length === b.length && a.every((it, i) => same(it, b[i])) : a === b;
}

function parsed(text, like) {
  if (Array.isArray(like)) {
    const numbers = text === "" ? [] : text.split(",").map(Number);
    return numbers.every(Number.isFinite) ? numbers : undefined;
  }
  if (typeof like === "number") return Number.isFinite(Number(text)) && text !== "" ? Number(text) : undefined;
  return typeof like === "boolean" ? { true: true, false: false }[text] : text;
}

function shown(value) {
  const short = (it) => (typeof it === "number" ? String(Number(it.toPrecision(6))) : encodeURIComponent(it));
  return Array.isArray(value) ? value.map(short).join(",") : short(value);
}
