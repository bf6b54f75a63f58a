// An engineer's own drawing, cleaned by the gateway, with its elements bound to points; see the README of the HMI.

import {text, toggle} from "./dom.js";
import {number, qualityWords, usable, valueWords} from "./format.js";

export function ownDrawing(svg, binding) {
  const parsed = new DOMParser().parseFromString(svg, "image/svg+xml");
  const element = document.importNode(parsed.documentElement, true);
  element.setAttribute("class", "own-drawing");
  element.setAttribute("role", "group");
  element.setAttribute("aria-label", "Drawing of the site");
  if (!element.hasAttribute("viewBox") && element.hasAttribute("width")) {
    element.setAttribute("viewBox", `0 0 ${parseFloat(element.getAttribute("width"))} ${parseFloat(element.getAttribute("height"))}`);
  }
  element.removeAttribute("width");
  element.removeAttribute("height");
  for (const bound of element.querySelectorAll("[data-point]")) bind(bound, binding);
  return element;
}

function bind(element, binding) {
  const {point, when, low = "0", high = "100", digits} = element.dataset;
  const show = element.dataset.show ?? (element.localName === "text" || element.localName === "tspan" ? "value" : "state");
  const words = (known) => (digits !== undefined && Number.isFinite(known.value) ? known.value.toFixed(Number(digits)) : valueWords(known));
  const share = (known) => Math.max(0, Math.min(1, (known.value - Number(low)) / (Number(high) - Number(low) || 1)));
  const size = {y: Number(element.getAttribute("y") ?? 0), height: Number(element.getAttribute("height") ?? 0)};
  const acts = {
    value: (known) => text(element, `${words(known)}${known.unit ? ` ${known.unit}` : ""}${usable(known.quality) ? "" : " ?"}`),
    number: (known) => text(element, `${words(known)}${usable(known.quality) ? "" : " ?"}`),
    unit: (known) => text(element, known.unit),
    quality: (known) => text(element, qualityWords(known.quality)),
    // How the states look is in overview.css: on and closed are filled, off and open are hollow.
    state: (known) => element.setAttribute("data-state", usable(known.quality) ? valueWords(known) : "unknown"),
    // A bar that grows from its lower edge, from data-low to data-high.
    fill: (known) => {
      const height = size.height * share(known);
      element.setAttribute("height", height.toFixed(2));
      element.setAttribute("y", (size.y + size.height - height).toFixed(2));
    },
    visible: (known) => toggle(element, "hidden-part", known.value !== Number(when ?? 1)),
    // A needle: turned about the middle of its box, from 0 degrees at data-low to 270 at data-high.
    turn: (known) => {
      element.style.transformBox = "fill-box";
      element.style.transformOrigin = "center";
      element.style.transform = `rotate(${number(270 * share(known))}deg)`;
    },
  };
  binding.add([point], (known) => {
    toggle(element, "bad", !known || !usable(known.quality));
    if (known) acts[show]?.(known);
  });
}
