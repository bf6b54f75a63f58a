// What happened to alarms, the newest first.

import {download, get} from "../lib/api.js";
import {PRIORITIES, PRIORITY_WORDS} from "../lib/alarmwords.js";
import {attempt} from "../lib/dialogs.js";
import {h, text} from "../lib/dom.js";
import {number, stamp} from "../lib/format.js";
import {Older} from "../lib/older.js";
import {Rows} from "../lib/rows.js";

const EVENTS = ["raised", "returned", "announced", "acknowledged", "confirmed", "commented", "shelved", "unshelved", "shelf expired", "unsuppressed", "out of service", "in service", "first out reset"];

export function openHistory(root, {path}) {
  const again = () => {
    clearTimeout(waiting);
    waiting = setTimeout(load, 250);
  };
  let waiting = 0;
  const field = (label, element) => h("label", {class: "filter"}, h("span", {}, label), element);
  const search = h("input", {type: "search", value: path[1] ?? "", oninput: again});
  const from = h("input", {type: "datetime-local", step: "1", onchange: again});
  const to = h("input", {type: "datetime-local", step: "1", onchange: again});
  const priority = h("select", {onchange: again}, h("option", {value: ""}, "All"), PRIORITIES.map((name) => h("option", {value: name}, PRIORITY_WORDS[name])));
  const event = h("select", {onchange: again}, h("option", {value: ""}, "All"), EVENTS.map((name) => h("option", {value: name}, name)));
  const query = () => {
    const asked = {text: search.value, priority: priority.value, event: event.value};
    if (from.value) asked.start_ms = new Date(from.value).getTime();
    if (to.value) asked.end_ms = new Date(to.value).getTime();
    return asked;
  };
  const rows = new Rows([
    {title: "Time", class: "time", cell: (item, element) => text(element, stamp(item.time_ms))},
    {title: "Priority", class: "narrow phone-off", cell: (item, element) => text(element, PRIORITY_WORDS[item.priority] ?? "")},
    {title: "Alarm", class: "wide", cell: (item, element) => {
      text(element, item.message || item.alarm);
      element.title = item.alarm;
    }},
    {title: "Event", cell: (item, element) => text(element, item.event)},
    {title: "Value", class: "narrow phone-off num", cell: (item, element) => text(element, item.value === null || !["raised", "returned"].includes(item.event) ? "" : `${number(item.value)} ${item.unit}`.trim())},
    {title: "Who and why", class: "phone-off", cell: (item, element) => text(element, [item.by, item.text].filter(Boolean).join(": "))},
  ], {label: "History of alarms", rowHeight: 34, visible: (_, until) => paged?.seen(until)});
  const summary = h("p", {class: "summary", role: "status"});
  let paged = null;
  function load() {
    paged = new Older(async (before) => {
      const page = await get("/api/alarms/history", {...query(), limit: 200, ...(before ? {before} : {})});
      return {items: page.events, cursor: page.before};
    }, show);
    show();
  }
  function show() {
    text(summary, paged.done ? `${number(paged.items.length)} events` : `${number(paged.items.length)} events read; older ones as you scroll`);
    rows.show(paged);
  }
  root.append(h("div", {class: "toolbar"}, field("Words", search), field("From", from), field("To", to), field("Priority", priority), field("Event", event),
    h("button", {type: "button", onclick: load}, "Read again"),
    h("button", {type: "button", onclick: () => attempt(() => download("/api/alarms/history/file", query()))}, "Export CSV")), summary, rows.element);
  load();
  return () => {
    clearTimeout(waiting);
    rows.end();
  };
}
