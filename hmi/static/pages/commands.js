// The command passport: every command, live, and the story of each: who, checks, hops with their times, read-back.

import {download, get} from "../lib/api.js";
import {attempt} from "../lib/dialogs.js";
import {h, replace, text} from "../lib/dom.js";
import {number, stamp} from "../lib/format.js";
import {Rows} from "../lib/rows.js";

const KEPT = 2000;
const DAY_MS = 86_400_000;
const SINCE = [["0", "any time"], [String(3_600_000), "the last hour"], [String(DAY_MS), "the last day"], [String(7 * DAY_MS), "the last 7 days"]];
const KINDS = [["", "everybody"], ["person", "people"], ["master", "masters"], ["program", "programs"], ["control", "control itself"]];
const OUTCOMES = [["", "any"], ["completed", "completed"], ["failed", "failed"], ["refused", "refused"], ["done", "done at once"], ["accepted", "under way"]];
const UNDER_WAY = new Set(["accepted", "written", "acknowledged"]);
let remembered = {since: String(DAY_MS), kind: "", what: "", who: "", origin: "", outcome: ""};

export async function open(root, context) {
  const page = new Commands(root, context);
  await page.load();
  const [key] = context.path;
  if (key) await page.show(key);
  const end = context.live.listen("commands", ({command}) => page.told(command));
  return () => {
    end();
    page.rows.end();
  };
}

class Commands {
  constructor(root, context) {
    this._context = context;
    this._items = [];
    this._next = "";
    const choice = (name, label, options) => [label, name, h("select", {id: `commands-${name}`, onchange: () => this._changed()},
      options.map(([value, words]) => h("option", {value, selected: remembered[name] === value}, words)))];
    const words = (name, label) => [label, name, h("input", {id: `commands-${name}`, type: "search", maxlength: "200", value: remembered[name], onchange: () => this._changed()})];
    const fields = [
      choice("since", "When", SINCE), choice("kind", "By", KINDS), words("what", "Point, unit or interlock"), words("who", "Person"), words("origin", "Protocol, server or address"),
      choice("outcome", "Outcome", OUTCOMES),
    ];
    this._inputs = Object.fromEntries(fields.map(([, name, input]) => [name, input]));
    this.rows = new Rows([
      {title: "Time", class: "time", cell: (item, cell) => text(cell, stamp(item.time_ms))},
      {title: "Who", cell: (item, cell) => text(cell, item.who)},
      {title: "What", class: "wide", cell: (item, cell) => text(cell, `${item.what} ${item.action}${item.value === null || item.value === undefined ? "" : ` ${amount(item.value)}`}`)},
      {title: "Outcome", class: "outcome", cell: (item, cell) => text(cell, outcomeWords(item))},
      {title: "Took", class: "narrow num phone-off", cell: (item, cell) => text(cell, item.took_ms === null ? "" : `${number(item.took_ms)} ms`)},
      {title: "Words", class: "wide phone-off", cell: (item, cell) => text(cell, item.text)},
    ], {label: "Commands", onpick: (item) => item && this._pick(item), rowClass: (item) => item.outcome});
    this._note = h("p", {class: "note", role: "status"});
    this._older = h("button", {type: "button", onclick: () => this._more()}, "Older");
    this._story = h("section", {class: "story-panel", "aria-label": "Story of the command", tabindex: "-1", hidden: true});
    root.append(h("h1", {}, "Commands"),
      h("form", {class: "toolbar", onsubmit: (event) => event.preventDefault()},
        fields.map(([label, name, input]) => h("div", {class: "field"}, h("label", {for: `commands-${name}`}, label), input)),
        h("div", {class: "field"}, h("button", {type: "button", onclick: () => attempt(() => download("/api/commands.csv", this._filter()))}, "Export CSV"))),
      h("div", {class: "columns"}, h("div", {class: "list"}, this.rows.element, h("div", {class: "foot"}, this._older, this._note)), this._story));
  }

  _filter() {
    const {since, ...rest} = remembered;
    const query = Object.fromEntries(Object.entries(rest).filter(([, value]) => value));
    if (Number(since)) query.since_ms = String(Math.floor(this._context.live.now() - Number(since)));
    return query;
  }

  async _changed() {
    remembered = Object.fromEntries(Object.entries(this._inputs).map(([name, input]) => [name, input.value]));
    await this.load();
  }

  async load() {
    this._items = [];
    this._next = "";
    await this._more();
  }

  async _more() {
    const query = {...this._filter(), limit: "200"};
    if (this._next) query.before = this._next;
    const turn = (this._turn = {});
    const page = await attempt(() => get("/api/commands", query));
    if (!page || this._turn !== turn) return;
    const known = new Set(this._items.map((item) => item.key));
    this._items.push(...page.commands.filter((item) => !known.has(item.key)));
    this._next = page.next;
    this._older.hidden = !page.next;
    this._draw(page.cut ? "The search was cut: go on with Older." : "");
  }

  _draw(words = "") {
    this.rows.show(this._items);
    text(this._note, words || (this._items.length ? `${this._items.length} shown${this._next ? ", older ones follow" : ""}` : "No command fits."));
  }

  // One that has just been given, or has gone on.
  told(command) {
    if (!this._fits(command)) return;
    const at = this._items.findIndex((item) => item.key === command.key);
    if (at === -1) this._items.unshift(command);
    else this._items[at] = command;
    if (this._items.length > KEPT) this._items.length = KEPT;
    if (at === -1 && this.rows.current >= 0) this.rows.current += 1;
    this._draw();
    if (this._shown === command.key) this.show(command.key);
  }

  _fits(item) {
    const holds = (part, ...texts) => !part || texts.some((each) => (each ?? "").toLowerCase().includes(part.toLowerCase()));
    const {kind, outcome, what, origin, who} = remembered;
    return (!kind || item.kind === kind) && (!outcome || item.outcome === outcome || UNDER_WAY.has(item.outcome)) && holds(what, item.what, item.action)
      && holds(origin, item.protocol, item.server, item.master, item.peer) && holds(who, item.who, item.peer, item.master);
  }

  async _pick(item) {
    window.history.replaceState(null, "", `#/commands/${encodeURIComponent(item.key)}`);
    await this.show(item.key);
    this._story.focus();
    this._story.scrollIntoView({block: "nearest"});
  }

  async show(key) {
    this._shown = key;
    const story = await attempt(() => get(`/api/commands/${encodeURIComponent(key)}`));
    if (!story || this._shown !== key) return;
    this._story.hidden = false;
    replace(this._story, ...storyParts(story), h("button", {type: "button", onclick: () => this._close()}, "Close"));
  }

  _close() {
    this._shown = "";
    this._story.hidden = true;
    window.history.replaceState(null, "", "#/commands");
    this.rows.element.focus();
  }
}

const amount = (value) => (typeof value === "number" ? number(value) : value);

function outcomeWords(item) {
  return UNDER_WAY.has(item.outcome) ? `under way: ${item.outcome}` : item.outcome === "completed" || item.outcome === "done" ? item.outcome : `${item.outcome.toUpperCase()}`;
}

function storyParts(story) {
  const {row} = story;
  const bad = row.outcome === "failed" || row.outcome === "refused";
  const fact = (label, words) => (words ? h("div", {}, h("dt", {}, label), h("dd", {}, words)) : null);
  const by = {person: "a person", master: "a master", program: "a program", control: "control itself"}[row.kind];
  return [
    h("h2", {}, `${row.what} ${row.action}${row.value === null ? "" : ` ${amount(row.value)}`}`),
    h("p", {class: bad ? "lost" : ""}, bad ? `${row.outcome}: ${row.text || row.reason} (${row.reason})` : outcomeWords(row)),
    h("dl", {class: "facts"}, fact("Who", `${row.who} (${by})`), fact("Protocol", row.protocol), fact("Server", row.server), fact("Master or role", row.master),
      fact("From", row.peer), fact("Comment", story.comment), fact("Pulse", story.pulse === "default" ? "" : story.pulse), fact("Took", row.took_ms === null ? "" : `${number(row.took_ms)} ms`),
      fact("Words", row.kind === "control" ? row.text : "")),
    story.select ? h("p", {}, `Selected before: ${stamp(story.select.time_ms)}, ${story.select.outcome}, value ${amount(story.select.value)}`) : row.action === "execute" ? h("p", {}, "No select before it is on record.") : null,
    story.hops.length && row.kind !== "control" ? [h("h3", {}, "Hops"), h("table", {class: "hops"},
      h("thead", {}, h("tr", {}, ["Hop", "At", "ms after the one before"].map((words) => h("th", {scope: "col"}, words)))),
      h("tbody", {}, story.hops.map((hop) => h("tr", {"data-hop": hop.name}, h("td", {}, hop.words), h("td", {class: "num"}, stamp(hop.time_ms, {date: false})),
        h("td", {class: "num"}, hop.after_ms === null ? "" : hop.after_ms.toFixed(1))))))] : null,
    story.read_back ? h("p", {}, `Read back: ${story.read_back.point} is ${amount(story.read_back.value)} (${story.read_back.quality}), expected was ${amount(story.read_back.expected)}.`) : null,
    story.answers.length ? h("p", {}, `Whoever asked was told: ${story.answers.join("; then ")}.`) : null,
    story.checks.length ? [h("h3", {}, "Checks"), h("ul", {class: "plain checks"}, story.checks.map((check) => h("li", {class: check.passed ? "" : "lost"}, check.passed ? `✓ ${check.words}` : `✗ Not so: ${check.words}`)))] : null,
  ];
}
