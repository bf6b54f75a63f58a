// A tree of folders that are fetched when they are opened. Keys as the ARIA practices have them.

import {h, replace} from "./dom.js";

export class Tree {
  // children(path) -> Promise of [{path, words, note, folders}]; onpick(path)
  constructor({label, top, children, onpick}) {
    this._children = children;
    this._onpick = onpick;
    this.element = h("ul", {class: "tree", role: "tree", "aria-label": label, onkeydown: (event) => this._key(event)});
    this._top = this._node({path: "", words: top, note: "", folders: true}, 1);
    this.element.append(this._top.item);
    this._focusable(this._top);
    this.toggle(this._top, true);
    this._mark("");
  }

  // Shows which folder is chosen, without opening it.
  _mark(path) {
    for (const item of this.element.querySelectorAll("[aria-selected=true]")) item.setAttribute("aria-selected", "false");
    for (const item of this.element.querySelectorAll("[role=treeitem]")) {
      if (item._node.path === path) item.setAttribute("aria-selected", "true");
    }
  }

  _node(facts, level) {
    const node = {...facts, level, open: false};
    node.group = h("ul", {role: "group", hidden: true});
    node.sign = h("span", {class: "sign", "aria-hidden": "true", onclick: (event) => {
      event.stopPropagation();
      this.toggle(node, !node.open);
    }}, facts.folders ? "▸" : "");
    const line = h("div", {class: "branch", onclick: () => this._pick(node)}, node.sign, h("span", {}, facts.words), h("span", {class: "count"}, facts.note));
    node.item = h("li", {role: "treeitem", tabindex: "-1", "aria-level": String(level), "aria-selected": "false",
      "aria-expanded": facts.folders ? "false" : undefined, "aria-label": `${facts.words} ${facts.note}`.trim()}, line, node.group);
    node.item._node = node;
    return node;
  }

  async toggle(node, open) {
    if (!node.folders || node.open === open) return;
    node.open = open;
    node.item.setAttribute("aria-expanded", String(open));
    node.sign.textContent = open ? "▾" : "▸";
    node.group.hidden = !open;
    if (open && !node.group.childElementCount) {
      const found = await this._children(node.path);
      replace(node.group, found.map((each) => this._node(each, node.level + 1).item));
    }
  }

  _pick(node) {
    this._focusable(node);
    this._mark(node.path);
    this._onpick(node.path);
  }

  _focusable(node) {
    for (const item of this.element.querySelectorAll("[tabindex='0']")) item.tabIndex = -1;
    node.item.tabIndex = 0;
  }

  _go(item) {
    if (!item) return;
    this._focusable(item._node);
    item.focus();
  }

  _key(event) {
    const item = event.target.closest("[role=treeitem]");
    if (!item || event.target !== item) return;
    const node = item._node;
    const seen = [...this.element.querySelectorAll("[role=treeitem]")].filter((each) => each.offsetParent !== null);
    const at = seen.indexOf(item);
    const moves = {
      ArrowDown: () => this._go(seen[at + 1]),
      ArrowUp: () => this._go(seen[at - 1]),
      Home: () => this._go(seen[0]),
      End: () => this._go(seen[seen.length - 1]),
      ArrowRight: () => (node.open ? this._go(node.group.firstElementChild) : this.toggle(node, true)),
      ArrowLeft: () => (node.open ? this.toggle(node, false) : this._go(item.parentElement.closest("[role=treeitem]"))),
      Enter: () => this._pick(node),
      " ": () => this._pick(node),
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    move();
  }
}
