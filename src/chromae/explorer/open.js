// What a page does when it is opened: read what lies in it, and hand it to the view.
import { hashStore } from "./store.js";

export function openPage(mount) {
  const scene = JSON.parse(document.getElementById("scene").textContent);
  const bytes = atob(document.getElementById("blob").textContent);
  const blob = Uint8Array.from(bytes, (character) => character.charCodeAt(0)).buffer;
  const { signal } = new AbortController();
  mount(document.getElementById("view"), scene, blob, hashStore(scene.state ?? {}, signal), signal);
}
