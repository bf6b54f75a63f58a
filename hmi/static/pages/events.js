// Events: changes of the plant's states with their ms, as they happen and as they were recorded; and what people did.

import {download, get} from "../lib/api.js";
import {attempt} from "../lib/dialogs.js";
import {h, text} from "../lib/dom.js";
import {number, stamp} from "../lib/format.js";
import {Older} from "../lib/older.js";
import {Rows} from "../lib/rows.js";

const KINDS = [["soe", "Sequence of events"], ["action", "Actions of people and masters"]];
const HELD = 20000; // rows kept of the live tail

const same = (event) => `${event.time_ms} ${event.point} ${event.state} ${event.quality}`;

export function open(root, context) {
  const page = new EventPage(root, context);
  return () => page.end();
}

class EventPage {
  constructor(root, {live, path}) {
    this.live = live;
    this.tail = []; // heard on this page, the oldest first
    this.seen = new Set();
    this.missed = 0;
    this._build(root, path);
    this._unlisten = live.listen("events", (news) => this._heard(news));
    this._load();
    this._again = setInterval(() => {
      if (this.kind.value === "action" && this.following.checked && !document.hidden) this._newActions();
    }, 3000);
  }

  end() {
    clearTimeout(this.waiting);
    clearInterval(this._again);
    this._unlisten();
    this.rows.end();
  }

  _build(root, path) {
    const later = () => {
      clearTimeout(this.waiting);
      this.waiting = setTimeout(() => this._load(), 250);
    };
    const field = (label, element) => h("label", {class: "filter"}, h("span", {}, label), element);
    this.kind = h("select", {onchange: () => this._load()}, KINDS.map(([value, words]) => h("option", {value, selected: value === path[0]}, words)));
    this.point = h("input", {type: "search", placeholder: "bess1/pcs/*", value: path[1] ?? "", oninput: later});
    this.words = h("input", {type: "search", oninput: later});
    this.from = h("input", {type: "datetime-local", step: "1", onchange: later});
    this.to = h("input", {type: "datetime-local", step: "1", onchange: later});
    this.following = h("input", {type: "checkbox", checked: true, onchange: () => (this.following.checked ? this._load() : this._draw())});
    this.note = h("p", {class: "summary", role: "status"});
    this.rows = new Rows([
      {title: "Time", class: "time", cell: (event, element) => text(element, stamp(event.time_ms))},
      {title: "Time quality", class: "narrow phone-off", cell: (event, element) => text(element, event.time_valid ? "valid" : "not to be trusted")},
      {title: "Point or subject", class: "wide", cell: (event, element) => {
        text(element, event.point || "–");
        element.title = [event.point, event.description].filter(Boolean).join(": ");
      }},
      {title: "What", class: "wide phone-off", cell: (event, element) => text(element, event.description)},
      {title: "State", class: "state", cell: (event, element) => text(element, event.state)},
      {title: "Quality, or who and why", class: "wide phone-off", cell: (event, element) => text(element, [event.quality, event.who, event.text].filter(Boolean).join(" · "))},
    ], {label: "Events, the newest first", rowHeight: 32, visible: (_, to) => this.paged?.seen(to - this.fresh.length),
      rowClass: (event) => (event.time_valid ? "" : "doubtful")});
    this.fresh = [];
    root.append(h("h1", {}, "Events"),
      h("div", {class: "toolbar"}, field("Kind", this.kind), field("Point (with * at its end: all that begin so)", this.point), field("Words", this.words), field("From", this.from), field("To", this.to),
        h("label", {class: "follow"}, this.following, " Live"),
        h("button", {type: "button", onclick: () => attempt(() => download("/api/events/file", this._query()))}, "Export CSV")),
      this.note, this.rows.element);
  }

  _query() {
    const query = {kind: this.kind.value, point: this.point.value, text: this.words.value};
    if (this.from.value) query.start_ms = new Date(this.from.value).getTime();
    if (this.to.value) query.end_ms = new Date(this.to.value).getTime();
    return query;
  }

  _load() {
    clearTimeout(this.waiting);
    const query = this._query();
    this.query = query;
    this.told = "";
    this.missed = 0;
    this.known = new Set();
    const paged = new Older(async (before) => {
      const page = await get("/api/events", {...query, limit: 300, ...(before ? {before} : {})});
      this.told = page.note;
      for (const event of page.events) this.known.add(same(event));
      return {items: page.events, cursor: page.before};
    }, () => {
      if (this.paged !== paged) return;
      paged.items.sort((a, b) => b.time_ms - a.time_ms);
      this._draw();
    });
    this.paged = paged;
    paged.more();
  }

  // The audit has no news of its own: what is newer than the newest known one is asked for.
  async _newActions() {
    const newest = this.paged.items[0]?.time_ms ?? 0;
    const page = await get("/api/events", {...this.query, start_ms: Math.max(this.query.start_ms ?? 0, newest - 1000), limit: 300}).catch(() => null);
    const fresh = page?.events.filter((event) => !this.known.has(same(event))) ?? [];
    if (!fresh.length || this.query.kind !== "action") return;
    for (const event of fresh) this.known.add(same(event));
    this.paged.items.unshift(...fresh);
    this._draw();
  }

  _heard({events, missed, greeting}) {
    for (const event of events) {
      const key = same(event);
      if (greeting && this.seen.has(key)) continue;
      this.seen.add(key);
      this.tail.push(event);
    }
    if (this.tail.length > HELD) {
      this.tail.splice(0, HELD / 4);
      this.seen = new Set(this.tail.map(same));
    }
    this.missed += missed;
    if (this.following.checked) this._draw();
  }

  _fits(event) {
    const {point, text: words, start_ms: from = 0, end_ms: to = Infinity} = this.query;
    const begun = point.endsWith("*");
    const all = `${event.point} ${event.description} ${event.state} ${event.quality} ${event.who} ${event.text}`.toLowerCase();
    return (!point || (begun ? event.point.startsWith(point.slice(0, -1)) : event.point === point)) && event.time_ms >= from && event.time_ms < to &&
      words.toLowerCase().split(/\s+/).every((word) => all.includes(word));
  }

  _draw() {
    const live = this.query.kind === "soe" && this.following.checked;
    // What stands in the tail and is recorded too is shown once.
    this.fresh = live ? this.tail.filter((event) => this._fits(event) && !this.known.has(same(event))) : [];
    const newest = this.paged.items[0]?.time_ms ?? 0;
    const oldest = this.paged.done ? 0 : this.paged.items.at(-1)?.time_ms ?? newest;
    this.fresh = this.fresh.filter(({time_ms: at}) => at >= oldest);
    const items = this.fresh.length ? [...this.paged.items, ...this.fresh].sort((a, b) => b.time_ms - a.time_ms) : this.paged.items;
    const more = this.paged.done ? 0 : 1;
    this.rows.show({length: items.length + more, at: (index) => items[index]});
    text(this.note, [`${number(items.length)} events${more ? "; older ones as you scroll" : ""}`,
      this.missed ? `${number(this.missed)} came too fast to be shown live: read again` : "", this.told].filter(Boolean).join(" · "));
  }
}
