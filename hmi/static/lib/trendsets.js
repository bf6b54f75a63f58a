// Saved sets of points for trends, each with its range: kept in this browser under a name.

import {h, replace} from "./dom.js";

const PLACE = "gridgate.trends.sets";

export class TrendSets {
  // onopen({names, rangeS}): a set was chosen
  constructor(onopen) {
    this.select = h("select", {id: "trend-sets", onchange: () => {
      const kept = this._kept()[this.chosen];
      if (kept) onopen(kept);
    }});
    this._show();
  }

  get chosen() {
    return this.select.value;
  }

  keep(name, set) {
    this._write({...this._kept(), [name]: set});
    this.select.value = name;
  }

  drop() {
    const {[this.chosen]: gone, ...rest} = this._kept();
    if (gone) this._write(rest);
  }

  _kept() {
    try {
      return JSON.parse(localStorage.getItem(PLACE) ?? "{}");
    } catch {
      return {};
    }
  }

  _write(sets) {
    localStorage.setItem(PLACE, JSON.stringify(sets));
    this._show();
  }

  _show() {
    replace(this.select, h("option", {value: ""}, "–"), Object.keys(this._kept()).sort().map((name) => h("option", {value: name}, name)));
  }
}
