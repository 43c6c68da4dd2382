// The pictures beside a map: what is decoded under the finger, the nearest real image, what its own code decodes to.
import { node } from "./dom.js";
import { toImageData } from "./space.js";
import { hexColor } from "./words.js";

const PANES = ["decoded here", "nearest real", "nearest real, decoded", "yours"];

export function panes(shape) {
  const figures = PANES.map((words) => {
    const canvas = node("canvas", { role: "img", "aria-label": words });
    [canvas.width, canvas.height] = [shape[2], shape[1]];
    const caption = node("figcaption", {}, words);
    return { canvas, caption, words, figure: node("figure", { className: "pane" }, canvas, caption) };
  });
  const fill = (at, says) => {
    figures[at].caption.textContent = says ? `${figures[at].words}: ${says}` : figures[at].words;
    figures[at].canvas.setAttribute("aria-label", figures[at].caption.textContent);
  };
  const element = node("div", { className: "panes" }, ...figures.map(({ figure }) => figure));
  return {
    element,
    decoded(at, values) {
      figures[at].canvas.getContext("2d").putImageData(toImageData(values, shape), 0, 0);
      fill(at, shape[1] * shape[2] === 1 ? hexColor(shape[0] === 3 ? values : [values[0], values[0], values[0]]) : "");
    },
    real(at, pictures, index, says) {
      const { canvas } = figures[at];
      [canvas.width, canvas.height] = [pictures.width, pictures.height];
      pictures.draw(canvas.getContext("2d"), index, 0, 0, pictures.width, pictures.height);
      fill(at, says);
    },
    drawn(at, image) {
      figures[at].canvas.getContext("2d").putImageData(image, 0, 0);
    },
    keep(which) {
      element.classList.toggle("four", which.includes(3));
      element.classList.toggle("one", which.length === 1);
      figures.forEach(({ figure }, i) => (figure.hidden = !which.includes(i)));
    },
  };
}
