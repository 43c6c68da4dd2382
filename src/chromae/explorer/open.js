// What a page does when it is opened: read what lies in it, and hand it to the view.
import { hashStore } from "./store.js";

export async function openPage(mount, allowed) {
  const scene = JSON.parse(document.getElementById("scene").textContent);
  const blob = await unpacked(document.getElementById("blob").textContent);
  const { signal } = new AbortController();
  mount(document.getElementById("view"), scene, blob, hashStore(scene.state ?? {}, signal, allowed(scene)), signal);
}

// The bytes that page.py packed: base64 of gzip of the even ones, then the odd ones.
async function unpacked(text) {
  const packed = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const parted = new Uint8Array(await new Response(stream).arrayBuffer());
  const bytes = new Uint8Array(parted.length);
  const half = Math.ceil(parted.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = parted[(i >> 1) + (i & 1 ? half : 0)];
  return bytes.buffer;
}
