// Every point: tree, search, live values of what is in sight, everything about one, and what is forced or blocked.

import {download, get} from "../lib/api.js";
import {attempt} from "../lib/dialogs.js";
import {h, replace, text, toggle} from "../lib/dom.js";
import {age, qualityClass, qualityWords, valueWords} from "../lib/format.js";
import {Paged} from "../lib/paged.js";
import {PointDetail, heldWords} from "../lib/pointdetail.js";
import {Rows} from "../lib/rows.js";
import {Tree} from "../lib/tree.js";

const KINDS = ["analog", "binary", "double", "counter", "setpoint", "control"];
const QUALITIES = ["good", "not good", "unusable", "held", "not topical", "comm lost", "never reported", "invalid", "substituted", "blocked", "over range", "chatter", "time invalid", "test"];

export function open(root, context) {
  const page = new PointsPage(root, context);
  return () => page.end();
}

class PointsPage {
  constructor(root, context) {
    this._live = context.live;
    this._filter = {search: "", prefix: "", kind: "", device: "", quality: ""};
    this._unwatch = () => {};
    this._watched = "";
    this._rows = new Rows(this._columns(), {
      label: "Points", rowHeight: window.innerWidth > 760 ? 30 : 44, onpick: (item, index) => item && this._choose(item.name, index),
      rowClass: (item) => this._look(item), visible: () => this._inSight(),
    });
    this._detail = new PointDetail(context, () => this._chosen(""));
    this._count = h("span", {class: "count", role: "status"});
    this._held = h("button", {type: "button", "aria-expanded": "false", "aria-controls": "held-list", onclick: () => this._showHeld()}, "Forced or blocked");
    this._heldList = h("section", {class: "panel held", id: "held-list", hidden: true, "aria-label": "Forced or blocked points"});
    const tree = new Tree({label: "Folders of points", top: "All points", children: (path) => this._folders(path), onpick: (path) => this._set("prefix", path)});
    root.append(h("h1", {}, "Points"), this._toolbar(context.site),
      this._heldList,
      this._split = h("div", {class: "split"},
        h("details", {class: "folders panel", open: window.innerWidth > 760}, h("summary", {}, "Folders"), tree.element),
        this._rows.element, this._detail.element));
    this._ends = [context.live.listen("held", () => this._readHeld())];
    const ticking = setInterval(() => this._rows.refresh(), 1000);
    this._ends.push(() => clearInterval(ticking));
    this._readHeld();
    this._search();
    const wanted = context.path.join("/");
    if (wanted) this._open(wanted);
  }

  async _open(name) {
    await this._detail.open(name);
    toggle(this._split, "with-detail", !this._detail.element.hidden);
    this._rows.refresh();
  }

  end() {
    clearTimeout(this._typing);
    clearTimeout(this._looking);
    this._unwatch();
    this._detail.close();
    this._rows.end();
    for (const end of this._ends) end();
  }

  _toolbar(site) {
    const search = h("input", {id: "points-search", type: "search", placeholder: "Name, description, device, address", autocomplete: "off", spellcheck: "false", oninput: () => {
      clearTimeout(this._typing);
      this._typing = setTimeout(() => this._set("search", search.value.trim()), 120);
    }, onkeydown: (event) => {
      if (event.key !== "ArrowDown" && event.key !== "Enter") return;
      event.preventDefault();
      this._rows.element.focus();
      if (this._rows.current < 0) this._rows.pick(0);
    }});
    const choice = (key, label, options) => {
      const select = h("select", {id: `points-${key}`, onchange: () => this._set(key, select.value)},
        h("option", {value: ""}, "any"), options.map((each) => h("option", {value: each}, each)));
      return h("div", {class: "field"}, h("label", {for: `points-${key}`}, label), select);
    };
    return h("div", {class: "toolbar"},
      h("div", {class: "field grow"}, h("label", {for: "points-search"}, "Search"), search),
      choice("kind", "Kind", KINDS), choice("quality", "Quality", QUALITIES), choice("device", "Device", site.devices.map((device) => device.name)),
      h("button", {type: "button", onclick: () => attempt(() => download("/api/points/export", this._query()))}, "CSV"),
      this._held, this._count);
  }

  _columns() {
    const value = (item) => this._live.values.get(item.name);
    return [
      {title: "Point", class: "wide point", cell: (item, cell) => {
        // What is cut off is the beginning: the end tells points apart.
        if (cell.firstElementChild === null) replace(cell, h("bdi", {}));
        text(cell.firstElementChild, item.name);
        cell.title = `${item.name}\n${item.description}`;
      }},
      {title: "Description", class: "wide phone-off laptop-off", cell: (item, cell) => text(cell, item.description)},
      {title: "Value", class: "num value", cell: (item, cell) => text(cell, valueWords(value(item)))},
      {title: "Unit", class: "unit", cell: (item, cell) => text(cell, item.unit)},
      {title: "Quality", class: "quality phone-off", cell: (item, cell) => text(cell, value(item) ? qualityWords(value(item).quality) : "")},
      {title: "Age", class: "num age", cell: (item, cell) => {
        const known = value(item);
        text(cell, known?.seenMs ? age(this._live.now() - known.seenMs) : "–");
      }},
      {title: "Source", class: "some phone-off crowded-off", cell: (item, cell) => {
        text(cell, [item.device, item.source].filter(Boolean).join(" · "));
        cell.title = item.source;
      }},
      {title: "Goes to", class: "some phone-off crowded-off", cell: (item, cell) => {
        text(cell, item.masters.join("; "));
        cell.title = item.masters.join("\n");
      }},
    ];
  }

  _look(item) {
    const known = this._live.values.get(item.name);
    if (!known) return "bad-row";
    const held = known.quality & 48 ? "held-row" : "";
    return `${qualityClass(known.quality)}-row ${held}`;
  }

  // -- what is listed --------------------------------------------------------------------------------------------------

  _query() {
    return Object.fromEntries(Object.entries(this._filter).filter(([, value]) => value));
  }

  _set(key, value) {
    if (this._filter[key] === value) return;
    this._filter[key] = value;
    this._search();
  }

  async _search() {
    const query = this._query();
    const paged = new Paged((offset, limit) => get("/api/points", {...query, offset, limit}), () => {
      if (this._paged !== paged) return;
      if (paged.length !== this._rows.items.length) this._rows.show(paged);
      this._rows.refresh();
    });
    this._paged = paged;
    await attempt(() => paged.begin());
    if (this._paged !== paged) return;
    this._rows.current = -1;
    this._rows.show(paged, true);
    text(this._count, `${paged.length.toLocaleString("en-IN")} ${paged.length === 1 ? "point" : "points"}`);
  }

  async _folders(path) {
    const tree = await attempt(() => get("/api/points/tree", {prefix: path}));
    return (tree?.folders ?? []).map((each) => ({
      path: each.path, words: each.path.slice(path.length, -1), note: each.points.toLocaleString("en-IN"), folders: each.folders,
    }));
  }

  // Live values of what is in sight, and a little more on both sides.
  _inSight() {
    clearTimeout(this._looking);
    this._looking = setTimeout(() => {
      const [from, to] = this._rows.inSight();
      const names = [];
      for (let i = Math.max(0, from - 10); i < Math.min(this._rows.items.length, to + 10); i += 1) {
        const item = this._rows.items.at(i);
        if (item) names.push(item.name);
      }
      const key = names.join("\n");
      if (key === this._watched) return;
      this._watched = key;
      const before = this._unwatch;
      this._unwatch = this._live.watch(names, () => this._rows.refresh());
      before();
    }, 60);
  }

  // -- one point -------------------------------------------------------------------------------------------------------

  _choose(name) {
    this._chosen(name);
    this._open(name);
  }

  _chosen(name) {
    history.replaceState(null, "", name ? `#/points/${name}` : "#/points");
    if (name) return;
    toggle(this._split, "with-detail", false);
    this._rows.element.focus();
  }

  // -- forced and blocked ----------------------------------------------------------------------------------------------

  async _readHeld() {
    const held = await get("/api/points/held").catch(() => null);
    if (!held) return;
    text(this._held, `Forced or blocked: ${held.length}`);
    toggle(this._held, "attention", held.length);
    replace(this._heldList, h("h2", {}, "Forced or blocked now"), held.length ? h("ul", {class: "plain"}, held.map((each) => h("li", {},
      h("a", {href: `#/points/${each.name}`}, each.name), ` ${valueWords({...each, quality: 0})} ${each.unit} `, heldWords(each))))
      : h("p", {}, "Nothing is forced or blocked."));
  }

  _showHeld() {
    this._heldList.hidden = !this._heldList.hidden;
    this._held.setAttribute("aria-expanded", String(!this._heldList.hidden));
  }
}
