// Per device and per master: state, counters, last error in words, round trip; what the links of a master carry, live.
// #/communications, #/communications/SERVER/MASTER: the traffic of that master

import {download, get, post} from "../lib/api.js";
import {attempt} from "../lib/dialogs.js";
import {h, replace, text, toggle} from "../lib/dom.js";
import {age, number, stamp} from "../lib/format.js";
import {Rows} from "../lib/rows.js";

const STATES = {online: "answers", lost: "does not answer", connecting: "is being connected to", "": "not known"};
const COUNTER_WORDS = {requests: "requests", answers: "answers", errors: "errors", timeouts: "time-outs", scans: "scans", scans_late: "scans late"};

export async function open(root, context) {
  return context.path.length === 2 ? traffic(root, context, ...context.path) : cards(root, context);
}

// ---- state of everything -------------------------------------------------------------------------------------------

async function cards(root, {live, may}) {
  const devices = h("div", {class: "cards"});
  const masters = h("div", {class: "cards"});
  const trouble = h("p", {class: "problem", role: "alert"});
  root.append(h("h1", {}, "Communications"), trouble,
    h("section", {}, h("h2", {}, "Masters"), masters), h("section", {}, h("h2", {}, "Devices"), devices));
  const open = new Set();
  const examinations = new Map();
  const draw = (facts) => {
    replace(trouble, facts.core ? "" : "The core does not answer: states of devices are not known.");
    update(masters, facts.masters, (each) => `${each.server}/${each.master}`, (each) => masterCard(each, live));
    update(devices, facts.devices, (each) => each.name, (each) => deviceCard(each, may, open, examinations));
  };
  const facts = await attempt(() => get("/api/communications"));
  if (facts) draw(facts);
  return live.listen("communications", (news) => {
    if (news.facts) draw(news.facts);
  });
}

// Draw only what differs, so that focus and open parts stay.
function update(list, items, key, card) {
  const known = new Map([...list.children].map((each) => [each.dataset.key, each]));
  for (const item of items) {
    const facts = JSON.stringify(item);
    const old = known.get(key(item));
    if (old?.dataset.facts === facts) continue;
    if (old?.contains(document.activeElement)) continue;
    const fresh = card(item);
    fresh.dataset.key = key(item);
    fresh.dataset.facts = facts;
    if (old) old.replaceWith(fresh);
    else list.append(fresh);
  }
}

const line = (words, value, kind = "") => [h("dt", {}, words), h("dd", {class: kind}, value)];

function masterCard(each, live) {
  const connected = each.links.length > 0;
  const state = !each.serving ? "its server does not run" : connected ? "connected" : "not connected";
  const of = (name) => live.values.get(each.points[name])?.value;
  const lines = [
    line("Listens on", `${each.listen} (${each.protocol})`, "words"),
    ...each.links.flatMap((link) => [
      line("Peer", link.peer, "words"),
      line("Since", stamp(link.since_ms).slice(0, 19)),
      line("Heard / told", `${age(live.now() - link.heard_ms)} / ${link.told_ms ? age(live.now() - link.told_ms) : "–"} ago`),
      line("Octets in / out", `${number(link.octets_in)} / ${number(link.octets_out)}`),
      line("Round trip", link.round_trip_ms === null ? "–" : `${link.round_trip_ms.toFixed(2)} ms`),
    ]),
    each.last_end ? line("Last end", `${stamp(each.last_end.time_ms).slice(0, 19)} ${each.last_end.peer}: ${each.last_end.cause}`, "words") : [],
    line("Connections so far", number(each.connects)),
    line("Points / may command", `${number(each.bindings)} / ${number(each.may_command)}`),
    each.points.events_waiting ? line("Events waiting", watched(live, each.points.events_waiting)) : [],
    each.points.events_lost ? line("Events lost", watched(live, each.points.events_lost)) : [],
  ];
  return h("article", {class: "panel card", "aria-label": `Master ${each.server}/${each.master}`},
    h("h3", {}, `${each.server}/${each.master}`, h("span", {class: connected ? "tag" : "tag lost"}, state),
      of("overflow") ? h("span", {class: "tag high"}, "events overflow") : null),
    h("dl", {}, lines),
    h("a", {href: `#/communications/${encodeURIComponent(each.server)}/${encodeURIComponent(each.master)}`}, "Traffic"));
}

// A number that follows its point for as long as it stands in the page.
function watched(live, name) {
  const shown = h("span", {}, "–");
  const end = live.watch([name], () => {
    if (!shown.isConnected && shown.dataset.was) return end();
    shown.dataset.was = shown.isConnected ? "1" : "";
    text(shown, number(live.values.get(name)?.value ?? 0));
    return undefined;
  });
  return shown;
}

// The button and what was found stay when the card of the device is drawn anew.
function examination(name) {
  const findings = h("div", {"aria-live": "polite"});
  const examine = h("button", {type: "button", onclick: async () => {
    examine.disabled = true;
    replace(findings, h("p", {}, "Examining …"));
    const found = await attempt(() => post(`/api/communications/examine/${encodeURIComponent(name)}`));
    examine.disabled = false;
    replace(findings, found ? found.findings.map(finding) : null);
  }}, "Examine");
  return h("div", {}, examine, findings);
}

function deviceCard(each, may, open, examinations) {
  if (may("operator") && !examinations.has(each.name)) examinations.set(each.name, examination(each.name));
  const shown = Object.entries(each.counters).filter(([name, count]) => name in COUNTER_WORDS || count);
  const counters = h("details", {open: open.has(each.name), ontoggle: (event) => {
    if (event.target.open) open.add(each.name);
    else open.delete(each.name);
  }},
  h("summary", {}, `Counted since the start (${number(each.counters.errors ?? 0)} errors)`),
  h("dl", {}, shown.map(([name, count]) => line(COUNTER_WORDS[name] ?? name.replaceAll("_", " "), number(count)))));
  return h("article", {class: "panel card", "aria-label": `Device ${each.name}`},
    h("h3", {}, each.name, h("span", {class: each.state === "online" ? "tag" : "tag lost"}, STATES[each.state] ?? each.state)),
    h("dl", {},
      line("Driver", each.driver),
      each.since_ms ? line("Since", stamp(each.since_ms).slice(0, 19)) : [],
      each.cause ? line(each.state === "online" ? "At" : "Last error", each.cause, "words") : [],
      line("Round trip", each.round_trip_ms === null ? "–" : `${each.round_trip_ms.toFixed(1)} ms`),
      line("Points / unusable", `${number(each.points)} / ${number(each.unusable)}`)),
    counters,
    examinations.get(each.name) ?? null);
}

function finding(each) {
  const words = {fault: "Fault: ", note: "Note: ", well: "Well: "}[each.verdict] ?? "";
  return h("div", {class: `finding ${each.verdict}`}, h("p", {}, h("strong", {}, words), each.says),
    each.evidence.length ? h("ul", {}, each.evidence.map((one) => h("li", {}, one))) : null,
    each.advice ? h("p", {}, h("em", {}, each.advice)) : null);
}

// ---- the traffic of one master -------------------------------------------------------------------------------------

const HELD = 5000;

function traffic(root, {live, may}, server, master) {
  let frames = [];
  let shown = [];
  let skipped = 0;
  let paused = false;
  let waiting = [];
  let filter = "";
  const told = h("p", {class: "soft", role: "status"});
  const rows = new Rows([
    {title: "Time", class: "time", cell: (frame, cell) => text(cell, frame.time_ms ? stamp(frame.time_ms, {date: false}) : "")},
    {title: "Way", class: "way", cell: (frame, cell) => text(cell, frame.note ? "" : frame.out ? "→ master" : "← master")},
    {title: "Frame", class: "frame", cell: (frame, cell) => {
      text(cell, frame.note ?? frame.text);
      cell.className = `frame ${frame.note ? "note" : frame.out ? "out-frame" : "in-frame"}`;
      cell.title = frame.note ?? frame.text;
    }},
    {title: "Octets", class: "octets", cell: (frame, cell) => text(cell, frame.note ? "" : String(frame.octets))},
  ], {label: `Frames of ${server}/${master}`, rowHeight: 28, onpick: (frame) => explain(frame)});
  const panel = h("section", {class: "panel", "aria-live": "polite", hidden: true});
  const pause = h("button", {type: "button", "aria-pressed": "false", onclick: () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    text(pause, paused ? "Go on" : "Pause");
    if (!paused) take(waiting.splice(0));
  }}, "Pause");
  const search = h("input", {id: "traffic-filter", type: "search", oninput: () => {
    filter = search.value.toLowerCase();
    select();
  }});

  function fits(frame) {
    return !filter || (frame.note ?? frame.text).toLowerCase().includes(filter);
  }

  function select() {
    shown = frames.filter(fits);
    rows.show(shown);
    rows.reveal(shown.length - 1);
  }

  function take(fresh) {
    if (!fresh.length) return;
    const [, to] = rows.inSight();
    const atEnd = to >= shown.length - 2;
    frames = frames.concat(fresh).slice(-HELD);
    shown = frames.filter(fits);
    rows.show(shown);
    if (atEnd) rows.reveal(shown.length - 1);
    text(told, `${number(frames.length)} frames held${skipped ? `, ${number(skipped)} left out: too many at once` : ""}`);
  }

  async function explain(frame) {
    if (!frame || frame.note) return;
    const found = await attempt(() => post("/api/communications/why", {server, master, out: frame.out, octets: frame.hex}));
    if (!found) return;
    panel.hidden = false;
    replace(panel, h("h2", {}, frame.out ? "Why was this sent?" : "What is this?"),
      found.why.map((sentence) => h("p", {}, sentence)),
      h("h3", {}, "Whole frame"), h("p", {class: "why"}, found.text),
      h("p", {class: "hex"}, frame.hex.replace(/../g, "$& ").trim(), frame.octets * 2 > frame.hex.length ? " …" : ""));
  }

  root.append(
    h("p", {}, h("a", {href: "#/communications"}, "Communications")),
    h("h1", {}, `Traffic of ${server}/${master}`),
    h("div", {class: "toolbar"},
      h("div", {class: "field"}, h("label", {for: "traffic-filter"}, "Only frames with"), search), pause,
      may("operator") ? h("button", {type: "button", onclick: () => attempt(() => download("/api/communications/pcap", {server, master}))}, "Download capture (pcap)") : null),
    told, rows.element,
    h("p", {}, "Arrow keys move, Enter tells why a frame was sent."), panel);
  const end = live.listen(`traffic/${server}/${master}`, (news) => {
    if (!news.frames) return;
    if (news.reset) {
      frames = [];
      waiting = [];
      skipped = 0;
    }
    skipped += news.skipped;
    if (paused) waiting = waiting.concat(news.frames).slice(-HELD);
    else take(news.frames);
  });
  toggle(root, "traffic", true);
  return () => {
    end();
    rows.end();
  };
}
