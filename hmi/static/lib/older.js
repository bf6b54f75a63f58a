// A list that is fetched page by page, the newest first, as a person scrolls down: what `Rows.show` takes.

import {attempt} from "./dialogs.js";

export class Older {
  // fetch(cursor) -> Promise of {items, cursor}; cursor null: there is no more. changed() after each page
  constructor(fetch, changed) {
    this._fetch = fetch;
    this._changed = changed;
    this.items = [];
    this.cursor = "";
    this.busy = false;
    this.failed = false;
  }

  get done() {
    return this.cursor === null || this.failed;
  }

  get length() {
    return this.items.length + (this.done ? 0 : 1);
  }

  at(index) {
    return this.items[index];
  }

  // The rows up to `to` are in sight.
  seen(to) {
    if (!this.done && !this.busy && to >= this.items.length) this.more();
  }

  async more() {
    this.busy = true;
    const page = await attempt(() => this._fetch(this.cursor));
    this.busy = false;
    if (page) {
      this.items.push(...page.items);
      this.cursor = page.cursor;
    } else {
      this.failed = true;
    }
    this._changed();
  }
}
