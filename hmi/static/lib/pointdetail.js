// Everything about one point, its last hour, and what an engineer may do to it.

import {get, post} from "./api.js";
import {ask, attempt, say} from "./dialogs.js";
import {h, replace, text, toggle} from "./dom.js";
import {age, number, qualityClass, qualityWords, stamp, usable, valueWords} from "./format.js";
import {Spark} from "./spark.js";

const SUBSTITUTED = 1 << 4;
const BLOCKED = 1 << 5;
const STATES = {
  binary: [["0", "off (0)"], ["1", "on (1)"]],
  double: [["0", "intermediate (0)"], ["1", "open (1)"], ["2", "closed (2)"], ["3", "faulty (3)"]],
};

export class PointDetail {
  constructor({live, may, go}, onclose) {
    this._live = live;
    this._may = may;
    this._go = go;
    this._end = [];
    this.name = "";
    this._title = h("h2", {id: "point-title"});
    this._value = h("output", {class: "big"});
    this._state = h("p", {class: "state-line"});
    this._buttons = h("div", {class: "buttons start"});
    this._trend = h("div", {});
    this._facts = h("div", {});
    this.element = h("aside", {class: "detail panel", "aria-labelledby": "point-title", hidden: true},
      h("div", {class: "detail-head"}, this._title, h("button", {type: "button", "aria-label": "Close", onclick: () => {
        this.close();
        onclose();
      }}, "×")),
      this._value, this._state, this._buttons, this._trend, this._facts);
  }

  async open(name) {
    this.close();
    const turn = (this._turn = {});
    const facts = await attempt(() => get("/api/points/facts", {name}));
    if (!facts || this._turn !== turn) return;
    this.name = name;
    this.element.hidden = false;
    text(this._title, name);
    this._show(facts);
    this._spark = null;
    replace(this._trend);
    if (facts.history) this._history(facts, turn);
    const names = [name, ...facts.masters.map((master) => master.online).filter(Boolean)];
    this._end = [
      this._live.watch(names, () => this._draw()),
      this._live.listen("held", () => this._again(turn)),
      this._live.listen("point_alarms", ({points}) => points.includes(name) && this._again(turn)),
    ];
    const ticking = setInterval(() => this._draw(), 1000);
    this._end.push(() => clearInterval(ticking));
    if (facts.masters.some((master) => master.master)) {
      // The servers' processes know it; the stream does not carry it for points that nobody looks at.
      const asking = setInterval(() => this._askReported(turn), 2000);
      this._end.push(() => clearInterval(asking));
      this._askReported(turn);
    }
    this._draw();
  }

  async _askReported(turn) {
    const told = await get("/api/points/reported", {name: this._point.name}).catch(() => []);
    if (this._turn !== turn) return;
    for (const each of told) {
      const place = this._reported?.get(`${each.server}/${each.master}`);
      if (!place) continue;
      const value = each.value === null ? "no number" : number(each.value);
      text(place, each.known ? `, last told ${[value, this._point.unit].filter(Boolean).join(" ")} (${each.quality})` : ", not told yet");
    }
  }

  close() {
    this._turn = null;
    for (const end of this._end) end();
    this._end = [];
    this.name = "";
    this.element.hidden = true;
  }

  async _again(turn) {
    const facts = await get("/api/points/facts", {name: this.name}).catch(() => null);
    if (facts && this._turn === turn) this._show(facts);
  }

  async _history(facts, turn) {
    const spark = new Spark(60);
    replace(this._trend, h("h3", {}, "Last hour"), spark.element);
    const trend = await get("/api/points/trend", {name: facts.name, minutes: 60, buckets: 240}).catch(() => null);
    if (this._turn !== turn) return;
    if (trend) spark.show(trend);
    this._spark = spark;
    this._draw();
  }

  _draw() {
    const known = this._live.values.get(this.name);
    if (!known) return;
    text(this._value, [valueWords(known), known.unit].filter(Boolean).join(" "));
    this._value.className = `big ${qualityClass(known.quality)}`;
    const words = [qualityWords(known.quality), known.timeMs ? `since ${stamp(known.timeMs)}` : "", known.seenMs ? `seen ${age(this._live.now() - known.seenMs)} ago` : ""];
    text(this._state, words.filter(Boolean).join(", "));
    for (const line of this._masters ?? []) {
      const on = Boolean(this._live.values.get(line.online)?.value);
      text(line.state, on ? "connected" : "not connected");
      toggle(line.state, "lost", !on);
    }
    this._may("engineer") && this._held !== (known.quality & (SUBSTITUTED | BLOCKED)) && this._actions(known.quality);
    if (this._spark) {
      this._spark.add(this._spark.began ? known.timeMs : this._live.now(), usable(known.quality) ? known.value : null);
      this._spark.began = true;
      this._spark.draw(this._live.now());
    }
  }

  // -- what may be done ------------------------------------------------------------------------------------------------

  _actions(quality) {
    this._held = quality & (SUBSTITUTED | BLOCKED);
    const button = (words, act, kind = "") => h("button", {type: "button", class: kind, onclick: act}, words);
    if (this._point.commanded) {
      replace(this._buttons, h("small", {}, "A commanded point is set on the page Control; it cannot be forced."));
      return;
    }
    const forced = quality & SUBSTITUTED;
    const blocked = quality & BLOCKED;
    replace(this._buttons,
      button(forced ? "Force to another value" : "Force", () => this._force()),
      forced ? button("Release", () => this._do("release", "Release", "The field's own value shows again."), "main") : null,
      !forced && !blocked ? button("Block", () => this._do("block", "Block", "The present value is held until it is unblocked.")) : null,
      blocked ? button("Unblock", () => this._do("unblock", "Unblock", "The field's own value shows again."), "main") : null);
  }

  _force() {
    const {name, kind, unit} = this._point;
    const known = this._live.values.get(name);
    const options = STATES[kind];
    const present = known && usable(known.quality) ? String(known.value) : "";
    return ask({
      title: `Force ${name}`,
      body: "The value goes to every master, to control and to interlocks as if it were measured, with quality substituted.",
      fields: [
        {name: "value", label: unit ? `Value in ${unit}` : "Value", type: options ? undefined : "number", options, step: "any", required: true, value: options ? present || "0" : present},
        {name: "reason", label: "Reason", required: true, hint: "For the record; at least 3 characters"},
      ],
      confirm: "Force",
      danger: true,
      act: async ({value, reason}) => {
        await post("/api/points/force", {name, value: Number(value), reason});
        say(`${name} is forced`);
      },
    });
  }

  _do(action, title, body) {
    const {name} = this._point;
    return ask({
      title: `${title} ${name}`,
      body,
      fields: [{name: "reason", label: "Reason", required: true, hint: "For the record; at least 3 characters"}],
      confirm: title,
      act: async ({reason}) => {
        await post(`/api/points/${action}`, {name, reason});
        say(`${name}: ${action} done`);
      },
    });
  }

  // -- what is known ---------------------------------------------------------------------------------------------------

  _show(facts) {
    this._point = facts;
    this._reported = new Map();
    this._masters = facts.masters.filter((master) => master.online).map((master) => ({online: master.online, state: h("span", {}, "–")}));
    replace(this._buttons);
    this._held = undefined;
    const unit = facts.unit ? ` ${facts.unit}` : "";
    const range = facts.low !== null || facts.high !== null ? `${facts.low ?? "…"} to ${facts.high ?? "…"}${unit}` : "";
    const limits = Object.entries(facts.limits).map(([word, value]) => `${word} ${number(value)}`).join(", ");
    const feedback = facts.feedback ? link(facts.feedback) : "";
    const within = [facts.feedback_tolerance !== null ? `within ${number(facts.feedback_tolerance)}${unit}` : "", facts.feedback_s !== null ? `in ${facts.feedback_s} s` : ""].filter(Boolean).join(" ");
    replace(this._facts,
      facts.held ? heldWords(facts.held) : null,
      h("dl", {class: "facts"},
        pair("Description", facts.description),
        pair("Kind", [facts.kind, facts.unit].filter(Boolean).join(", ")),
        pair("Device", facts.device ? `${facts.device} (${facts.driver})` : ""),
        pair("Source", facts.source),
        pair("Configured in", facts.place),
        pair("Range", range),
        pair("Alarm limits", limits),
        pair("Not topical after", facts.max_age_s === null ? "" : `${number(facts.max_age_s)} s without an update`),
        facts.feedback ? pair("Feedback", [feedback, within ? ` ${within}` : ""]) : null,
        facts.calculated.length ? pair("Used by", facts.calculated.map((each, i) => [i ? ", " : "", link(each)])) : null),
      h("h3", {}, "Where it goes"),
      facts.masters.length ? h("ul", {class: "plain"}, facts.masters.map((master) => {
        const line = this._masters.find((each) => each.online === master.online);
        const told = h("span", {});
        this._reported.set(`${master.server}/${master.master}`, told);
        return h("li", {}, h("strong", {}, master.master || master.server), ` (${master.protocol}): ${master.address} `, line ? line.state : null, told);
      })) : h("p", {}, "No master gets it."),
      facts.alarms.length ? [h("h3", {}, "Alarms"), h("ul", {class: "plain"}, facts.alarms.map((alarm) =>
        h("li", {}, h("span", {class: `tag ${alarm.state === "normal" ? "" : alarm.priority}`}, alarm.priority), ` ${alarm.message}: ${alarm.state}`)))] : null);
    this._draw();
  }
}

export function heldWords(held) {
  const who = held.by ? `by ${held.by}` : "by whom is not known";
  const when = held.since_ms ? `since ${stamp(held.since_ms).slice(0, 19)}` : "";
  return h("p", {class: "held-note"}, h("strong", {}, held.quality), ` ${[when, who].filter(Boolean).join(", ")}${held.reason ? `: ${held.reason}` : ""}`);
}

const link = (name) => h("a", {href: `#/points/${name}`}, name);
const pair = (title, words) => (words === "" || words === null ? null : [h("dt", {}, title), h("dd", {}, words)]);
