// Alarms in the manner of ISA-18.2: what stands, what is kept out of sight, what was.

import {download, get} from "../lib/api.js";
import {acknowledge, actionsOf, needAcknowledging} from "../lib/alarmactions.js";
import {AlarmStore} from "../lib/alarmstore.js";
import {PRIORITIES, PRIORITY_WORDS, limitWords, rank, remarks, setShape, shape, stateWords} from "../lib/alarmwords.js";
import {attempt, say} from "../lib/dialogs.js";
import {h, replace, text, toggle} from "../lib/dom.js";
import {number, stamp, withUnit} from "../lib/format.js";
import {Rows} from "../lib/rows.js";
import {openHistory} from "./alarms.history.js";

const VIEWS = [
  {name: "standing", words: "In sight", fits: (alarm) => !alarm.hidden},
  {name: "shelved", words: "Shelved", fits: (alarm) => alarm.state === "shelved"},
  {name: "suppressed", words: "Suppressed", fits: (alarm) => alarm.state === "suppressed by design"},
  {name: "out-of-service", words: "Out of service", fits: (alarm) => alarm.state === "out of service"},
  {name: "all", words: "Every alarm"},
  {name: "history", words: "History"},
];
const STATES = [["", "All states"], ["unacknowledged", "Active, not acknowledged"], ["acknowledged", "Active, acknowledged"], ["returned unacknowledged", "Returned, not acknowledged"]];
const STEADY_MS = 350; // a list that has just moved under the pointer takes no acknowledgement

export async function open(root, context) {
  const view = VIEWS.find(({name}) => name === context.path[0]) ?? VIEWS[0];
  const tabs = h("nav", {"aria-label": "Alarm lists", class: "tabs"}, VIEWS.map(({name, words}) =>
    h("a", {href: `#/alarms/${name}`, "aria-current": name === view.name ? "page" : undefined}, words)));
  root.append(h("h1", {}, "Alarms"), tabs);
  const rules = await attempt(() => get("/api/alarms/rules"));
  if (!rules) return undefined;
  if (view.name === "history") return openHistory(root, context);
  const list = new AlarmPage(root, context, view, rules);
  return () => list.end();
}

class AlarmPage {
  constructor(root, {live, may, path}, view, rules) {
    Object.assign(this, {live, may, view, rules});
    this.actions = actionsOf(rules).filter((action) => may(action.right));
    this.chosen = "";
    this.order = "";
    this.movedAt = 0;
    this.every = [];
    this._filters(path[1] ?? "");
    this.flood = h("p", {class: "flood", role: "status", hidden: true});
    this.summary = h("p", {class: "summary", role: "status"});
    this.rows = new Rows(this._columns(), {rowHeight: 60, label: `Alarms: ${view.words}`, onpick: (alarm) => this._choose(alarm),
      rowClass: (alarm) => (alarm.hidden || alarm.acknowledged ? "" : "asking")});
    this.rows.element.addEventListener("keydown", (event) => this._key(event));
    this.detail = h("section", {class: "panel detail", "aria-label": "The chosen alarm", "aria-live": "polite"});
    this._nothing();
    root.append(this.flood, this.toolbar, this.summary, h("div", {class: "split"}, this.rows.element, this.detail));
    this.store = new AlarmStore(live, () => this._draw());
    this._watches = [() => this.store.end(), this._floods(), () => this.rows.end(), () => this._endValue?.()];
    this._ticking = setInterval(() => this.rows.refresh(), 1000);
    this._draw();
    if (view.name === "all") this._fetch();
  }

  // -- what is shown -------------------------------------------------------------------------------------------

  _filters(words) {
    const select = (label, options) => {
      const element = h("select", {"aria-label": label, onchange: () => this._draw()}, options.map(([value, title]) => h("option", {value}, title)));
      return element;
    };
    this.priority = select("Priority", [["", "All priorities"], ["urgent", "Critical and high"], ...PRIORITIES.map((name) => [name, PRIORITY_WORDS[name]])]);
    this.state = select("State", STATES);
    this.state.hidden = this.view.name !== "standing";
    this.area = select("Area or group", [["", "All areas and groups"], ...this.rules.areas.map((name) => [`area ${name}`, name]), ...this.rules.groups.map((name) => [`group ${name}`, `group ${name}`])]);
    this.sort = select("Order", [["priority", "By priority, then time"], ["time", "Newest first"]]);
    this.search = h("input", {type: "search", "aria-label": "Name or message", placeholder: "Name or message", value: words, oninput: () => this._draw()});
    this.ackSight = this.may("operator") && this.view.name === "standing"
      ? h("button", {type: "button", onclick: () => this._acknowledgeSight()}, "Acknowledge those in sight")
      : null;
    const file = h("button", {type: "button", onclick: () => attempt(() => download("/api/alarms/file"))}, "Export CSV");
    this.toolbar = h("div", {class: "toolbar"}, this.search, this.priority, this.state, this.area, this.sort, this.ackSight, file);
  }

  _columns() {
    const now = () => this.live.now();
    return [
      {title: "Priority", class: "priority", cell: (alarm, element) => {
        const parts = (element._parts ??= this._mark(element));
        setShape(parts.mark, alarm.priority, {hollow: !alarm.active, blink: !alarm.hidden && !alarm.acknowledged});
        text(parts.words, PRIORITY_WORDS[alarm.priority]);
      }},
      {title: "Since", class: "since phone-off", cell: (alarm, element) => {
        const parts = (element._parts ??= this._two(element));
        const at = stamp(alarm.raised_ms);
        text(parts.first, alarm.raised_ms ? at.slice(11, 19) : "–");
        text(parts.second, alarm.raised_ms ? at.slice(0, 10) : "");
      }},
      {title: "Alarm", class: "wide what", cell: (alarm, element) => {
        const parts = (element._parts ??= this._two(element));
        text(parts.first, alarm.message);
        text(parts.second, alarm.alarm);
      }},
      {title: "State", class: "state", cell: (alarm, element) => {
        const parts = (element._parts ??= this._two(element));
        text(parts.first, stateWords(alarm));
        text(parts.second, remarks(alarm, now(), this.rules.standing_s));
      }},
      {title: "Value", class: "value phone-off", cell: (alarm, element) => text(element, alarm.value === null ? "" : `${number(alarm.value)} ${alarm.unit}`.trim())},
      ...(this.may("operator") ? [{title: "", class: "act", cell: (alarm, element) => {
        const button = (element._parts ??= this._ackButton(element));
        button._alarm = alarm;
        button.hidden = alarm.acknowledged;
        button.setAttribute("aria-label", `Acknowledge ${alarm.message}`);
      }}] : []),
    ];
  }

  _mark(element) {
    const parts = {mark: shape("low"), words: h("span", {class: "priority-words"})};
    element.append(parts.mark, parts.words);
    return parts;
  }

  _two(element) {
    const parts = {first: h("div", {class: "first"}), second: h("div", {class: "second"})};
    element.append(parts.first, parts.second);
    return parts;
  }

  _ackButton(element) {
    const button = h("button", {type: "button", tabindex: "-1", onclick: (event) => {
      event.stopPropagation();
      if (performance.now() - this.movedAt < STEADY_MS) say("The list has just moved: look again, then acknowledge.", "problem");
      else acknowledge([button._alarm]);
    }}, "Ack");
    element.append(button);
    return button;
  }

  async _fetch() {
    let offset = 0;
    for (;;) {
      const page = await attempt(() => get("/api/alarms", {everything: true, offset, limit: 2000}));
      if (!page || this._ended) return;
      this.every.push(...page.alarms);
      offset = this.every.length;
      this._draw();
      if (!page.alarms.length || offset >= page.total) return;
    }
  }

  _chosenOnes() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const [what, where] = this.area.value.split(" ");
    const priority = this.priority.value;
    const source = this.view.name === "all" ? this.every.map((alarm) => this.store.alarms.get(alarm.alarm) ?? rested(alarm)) : [...this.store.alarms.values()].filter(this.view.fits);
    return source.filter((alarm) =>
      (!priority || alarm.priority === priority || (priority === "urgent" && rank(alarm) < 2)) &&
      (!this.state.value || alarm.state === this.state.value) &&
      (!what || alarm[what] === where) &&
      words.every((word) => `${alarm.alarm} ${alarm.message}`.toLowerCase().includes(word)));
  }

  _draw() {
    const alarms = this._chosenOnes();
    if (this.sort.value === "time") alarms.sort((a, b) => b.raised_ms - a.raised_ms);
    else if (this.view.name !== "all") alarms.sort((a, b) => rank(a) - rank(b) || b.raised_ms - a.raised_ms);
    const order = alarms.map(({alarm}) => alarm).join();
    if (order !== this.order) this.movedAt = performance.now();
    this.order = order;
    this.alarms = alarms;
    this.rows.current = alarms.findIndex(({alarm}) => alarm === this.chosen);
    this.rows.show(alarms);
    const asking = needAcknowledging(alarms).length;
    const hidden = [...this.store.alarms.values()].filter((alarm) => alarm.hidden).length;
    const missing = this.store.total - this.store.alarms.size;
    text(this.summary, this.store.known || this.view.name === "all"
      ? [`${alarms.length} shown, ${asking} not acknowledged`, this.view.name === "standing" && hidden ? `${hidden} kept out of sight` : "", missing > 0 && this.view.name !== "all" ? `${missing} less urgent ones are not shown: too many stand` : ""].filter(Boolean).join(" · ")
      : "Waiting for the gateway…");
    if (this.ackSight) this.ackSight.disabled = !asking;
    const chosen = this.alarms.find(({alarm}) => alarm === this.chosen) ?? this.store.alarms.get(this.chosen) ?? (this.shown && rested(this.shown));
    if (this.chosen && chosen) this._detail(chosen);
  }

  _floods() {
    const names = this.rules.flood ? [this.rules.flood, "system/alarms/recent"] : [];
    return this.live.watch(names, () => {
      const on = Boolean(this.live.values.get(this.rules.flood)?.value);
      const recent = this.live.values.get("system/alarms/recent")?.value ?? 0;
      this.flood.hidden = !on;
      if (on) text(this.flood, `Alarm flood: ${number(recent)} alarms within ${number(this.rules.flood_window_s / 60)} minutes. Look at what is critical first.`);
    });
  }

  // -- what a person does --------------------------------------------------------------------------------------

  _acknowledgeSight() {
    const [from, to] = this.rows.inSight();
    const seen = needAcknowledging(this.alarms.slice(from, to));
    if (performance.now() - this.movedAt < STEADY_MS) say("The list has just moved: look again, then acknowledge.", "problem");
    else if (!seen.length) say("None of the alarms in sight asks for it: scroll to those that do.");
    else acknowledge(seen);
  }

  _key(event) {
    if (event.target !== this.rows.element) return;
    const alarm = this.alarms[this.rows.current];
    if (event.key === "a" && alarm && !alarm.acknowledged && this.may("operator") && !event.ctrlKey && !event.metaKey) acknowledge([alarm]);
    else if (alarm && alarm.alarm !== this.chosen) this._choose(alarm);
  }

  _choose(alarm) {
    if (!alarm) return;
    this.chosen = alarm.alarm;
    this.shown = null;
    this._detail(alarm);
    this.detail.scrollIntoView({block: "nearest"});
  }

  // -- the chosen one ------------------------------------------------------------------------------------------

  _nothing() {
    const keys = this.may("operator") ? " In the list: arrow keys move, A acknowledges." : "";
    replace(this.detail, h("h2", {}, "No alarm chosen"), h("p", {}, `Choose one to see its limit, its point and what happened to it.${keys}`));
  }

  _detail(alarm) {
    if (this.shown && this.shown.seq === alarm.seq && this.shown.alarm === alarm.alarm && this.shown.chattering === alarm.chattering) return;
    const fresh = this.shown?.alarm !== alarm.alarm;
    this.shown = alarm;
    if (fresh) this._watchValue(alarm);
    const place = encodeURIComponent(alarm.point);
    const line = (title, ...words) => (words.some(Boolean) ? [h("dt", {}, title), h("dd", {}, words)] : []);
    const focused = this.detail.contains(document.activeElement) ? document.activeElement.textContent : "";
    replace(this.detail,
      h("h2", {}, shape(alarm.priority), " ", alarm.message),
      h("dl", {},
        line("Alarm", alarm.alarm), line("Priority", PRIORITY_WORDS[alarm.priority]), line("State", stateWords(alarm)),
        line("Limit", limitWords(alarm)),
        line("Point", h("a", {href: `#/points/${place}`}, alarm.point), " (", h("a", {href: `#/trends/${place}`}, "trend"), ")"),
        line("Now", this.value),
        line("At its last change", alarm.value === null ? "" : `${number(alarm.value)} ${alarm.unit} (${alarm.quality})`),
        line("Came", alarm.raised_ms ? stamp(alarm.raised_ms) : ""), line("Returned", alarm.returned_ms && !alarm.active ? stamp(alarm.returned_ms) : ""),
        line("Came so often", alarm.count ? String(alarm.count) : ""),
        line("First-out group", alarm.group ? `${alarm.group}, number ${alarm.number_in_group}${alarm.first_out ? ": came first" : ""}` : ""),
        line("Shelved until", alarm.shelved_until_ms ? stamp(alarm.shelved_until_ms) : ""),
        line("Remark", [alarm.chattering ? "Chattering" : "", alarm.by && alarm.text ? `${alarm.by}: ${alarm.text}` : alarm.by].filter(Boolean).join(" · "))),
      h("div", {class: "buttons"}, this.actions.filter((action) => action.fits(alarm)).map((action) =>
        h("button", {type: "button", class: action.main ? "main" : "", onclick: () => action.run([alarm])}, action.words))),
      h("h3", {}, "What happened to it"), this.past ??= h("ol", {class: "plain past"}));
    if (focused) [...this.detail.querySelectorAll("button")].find((button) => button.textContent === focused)?.focus();
    this._history(alarm);
  }

  _watchValue({point}) {
    this._endValue?.();
    const value = h("span", {});
    this.value = value;
    this._endValue = this.live.watch([point], () => {
      const known = this.live.values.get(point);
      text(value, withUnit(known));
      toggle(value, "stale", (known?.quality ?? 8) & 15);
    });
  }

  async _history({alarm}) {
    const page = await get("/api/alarms/history", {alarm, limit: 10}).catch(() => ({events: []}));
    if (this.chosen !== alarm || this._ended) return;
    replace(this.past, page.events.length ? page.events.map((event) => h("li", {}, h("time", {}, stamp(event.time_ms)), " ", event.event,
      event.by ? ` by ${event.by}` : "", event.text ? `: ${event.text}` : "")) : h("li", {}, "Nothing yet."));
  }

  end() {
    this._ended = true;
    clearInterval(this._ticking);
    for (const end of this._watches) end();
  }
}

// An alarm that no longer stands, as far as it is known here.
const rested = (alarm) => ({...alarm, state: "normal", active: false, acknowledged: true, confirmed: true, hidden: false, first_out: false, chattering: false, shelved_until_ms: 0, text: "", by: "", seq: -1});
