// A field in which words find points that can be drawn, and the list below it from which one is taken.

import {get} from "./api.js";
import {h, replace} from "./dom.js";

export class PointSearch {
  // onchoose(point): one was taken; onnone(words): no point has these words
  constructor({id, onchoose, onnone}) {
    Object.assign(this, {id, onchoose, onnone, choice: -1, offers: []});
    this.input = h("input", {type: "search", id: `${id}-search`, role: "combobox", "aria-expanded": "false", "aria-controls": `${id}-found`, "aria-autocomplete": "list", autocomplete: "off",
      placeholder: "Add a point", oninput: () => this._search(), onkeydown: (event) => this._key(event)});
    this.list = h("ul", {id: `${id}-found`, class: "found", role: "listbox", "aria-label": "Points found", hidden: true});
  }

  async _search() {
    const words = this.input.value.trim();
    const turn = (this.searching = {});
    const points = words ? await get("/api/trends/points", {text: words, limit: 30}).catch(() => []) : [];
    if (this.searching !== turn) return;
    this.choice = -1;
    replace(this.list, points.map((point, at) => h("li", {role: "option", id: `${this.id}-found-${at}`, "aria-selected": "false", onmousedown: (event) => {
      event.preventDefault();
      this._choose(point);
    }}, h("strong", {}, point.name), " ", h("small", {}, [point.description, point.unit].filter(Boolean).join(", ")))));
    this.offers = points;
    this._open(points.length > 0);
    if (words && !points.length) this.onnone(words);
  }

  _choose(point) {
    this._open(false);
    this.input.value = "";
    this.onchoose(point);
  }

  _open(on) {
    this.list.hidden = !on;
    this.input.setAttribute("aria-expanded", String(on));
    if (!on) this.input.removeAttribute("aria-activedescendant");
  }

  _key(event) {
    const count = this.offers.length;
    if (event.key === "Escape") this._open(false);
    if (event.key === "Enter" && count) this._choose(this.offers[Math.max(0, this.choice)]);
    if (!["ArrowDown", "ArrowUp"].includes(event.key) || !count) return;
    event.preventDefault();
    this.choice = (this.choice + (event.key === "ArrowDown" ? 1 : -1) + count) % count;
    [...this.list.children].forEach((item, at) => item.setAttribute("aria-selected", String(at === this.choice)));
    this.input.setAttribute("aria-activedescendant", `${this.id}-found-${this.choice}`);
    this.list.children[this.choice].scrollIntoView({block: "nearest"});
  }
}
