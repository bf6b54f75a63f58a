// A table of any length: only the rows in sight are elements. Arrow keys, Home, End, PageUp and PageDown move, Enter acts.

import {h, text} from "./dom.js";

let number = 0;

// columns: [{title, class, cell(item, element)}]; `cell` writes into an element that it is given again and again.
// options: rowHeight, label (of the grid), onpick(item, index), key(item), visible(from, to) after each move
export class Rows {
  constructor(columns, {rowHeight = 32, label, onpick, rowClass, visible} = {}) {
    this._columns = columns;
    this._height = rowHeight;
    this._onpick = onpick;
    this._rowClass = rowClass ?? (() => "");
    this._visible = visible ?? (() => {});
    this._pool = [];
    this.items = {length: 0, at: () => undefined};
    this.current = -1;
    number += 1;
    this._id = `rows-${number}`;
    this._head = h("div", {class: "rows-head", role: "row"}, columns.map((column) =>
      h("div", {role: "columnheader", class: column.class ?? ""}, column.title)));
    this._space = h("div", {class: "rows-space", role: "rowgroup"});
    this.element = h("div", {class: "rows", role: "grid", tabindex: "0", "aria-label": label ?? "", onkeydown: (event) => this._key(event),
      onscroll: () => this._draw()}, this._head, this._space);
    this._scroll = this.element;
    this._watch = new ResizeObserver(() => this._draw());
    this._watch.observe(this._scroll);
  }

  // An array, or {length, at(index)} for what is fetched when it comes into sight. `anew`: from the top.
  show(items, anew = false) {
    this.items = items;
    if (anew) this._scroll.scrollTop = 0;
    this.element.setAttribute("aria-rowcount", String(items.length + 1));
    this._space.style.height = `${items.length * this._height}px`;
    if (this.current >= items.length) this.current = items.length - 1;
    this._draw();
  }

  // Draw the rows in sight again; cheap when little differs.
  refresh() {
    this._draw();
  }

  inSight() {
    const from = Math.floor(this._scroll.scrollTop / this._height);
    const to = Math.min(this.items.length, Math.ceil((this._scroll.scrollTop + this._room()) / this._height));
    return [Math.max(0, from), Math.max(0, to)];
  }

  // Below the heading.
  _room() {
    return Math.max(0, this._scroll.clientHeight - this._head.offsetHeight);
  }

  pick(index, act = false) {
    this.current = Math.max(0, Math.min(this.items.length - 1, index));
    const top = this.current * this._height;
    if (top < this._scroll.scrollTop) this._scroll.scrollTop = top;
    const bottom = top + this._height - this._room();
    if (bottom > this._scroll.scrollTop) this._scroll.scrollTop = bottom;
    this._draw();
    if (act) this._onpick?.(this.items.at(this.current), this.current);
  }

  // Bring a row into sight without choosing it.
  reveal(index) {
    const top = index * this._height;
    if (top < this._scroll.scrollTop) this._scroll.scrollTop = top;
    const bottom = top + this._height - this._scroll.clientHeight;
    if (bottom > this._scroll.scrollTop) this._scroll.scrollTop = bottom;
    this._draw();
  }

  end() {
    this._watch.disconnect();
  }

  _draw() {
    const [from, to] = this.inSight();
    while (this._pool.length < to - from) this._pool.push(this._row());
    for (let i = 0; i < this._pool.length; i += 1) {
      const row = this._pool[i];
      const index = from + i;
      const item = index < to ? this.items.at(index) : undefined;
      row.hidden = index >= to;
      if (row.hidden) continue;
      row._index = index;
      row.style.transform = `translateY(${index * this._height}px)`;
      row.setAttribute("aria-rowindex", String(index + 2)); // the heading is the first
      row.setAttribute("aria-selected", String(index === this.current));
      row.className = `row ${item === undefined ? "waiting" : this._rowClass(item)}`;
      this._columns.forEach((column, at) => {
        if (item === undefined) row.children[at].replaceChildren(at ? "" : "…");
        else column.cell(item, row.children[at]);
      });
    }
    const chosen = this._pool.find((row) => !row.hidden && row._index === this.current);
    if (chosen) this.element.setAttribute("aria-activedescendant", chosen.id);
    else this.element.removeAttribute("aria-activedescendant");
    this._visible(from, to);
  }

  _row() {
    const row = h("div", {role: "row", class: "row", id: `${this._id}-${this._pool.length}`, style: {height: `${this._height}px`}, onclick: () => this.pick(row._index, true)},
      this._columns.map((column) => h("div", {role: "gridcell", class: column.class ?? ""})));
    this._space.append(row);
    return row;
  }

  _key(event) {
    if (event.target.closest("input, select, textarea, button")) return;
    const page = Math.max(1, Math.floor(this._room() / this._height) - 1);
    const moves = {ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity};
    if (event.key in moves) {
      event.preventDefault();
      this.pick(this.current + moves[event.key]);
    } else if (event.key === "Enter" && this.current >= 0) {
      event.preventDefault();
      this._onpick?.(this.items.at(this.current), this.current);
    }
  }
}
