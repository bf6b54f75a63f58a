// The site at a glance: drawing, key figures, alarms, who controls, who answers.

import {get} from "../lib/api.js";
import {Binding} from "../lib/binding.js";
import {attempt} from "../lib/dialogs.js";
import {h, replace, text, toggle} from "../lib/dom.js";
import {age, number, qualityClass, stamp, usable, valueWords} from "../lib/format.js";
import {ownDrawing} from "../lib/owndrawing.js";
import {SingleLine} from "../lib/singleline.js";

const SOURCES = ["", "safety: a trip", "an interlock", "an operator here", "frequency response", "a master", "the schedule", "fallback", "nobody: it holds"];
const DROOP = ["off", "in the dead band", "responding", "fast response", "holding", "no frequency"];
const PRIORITIES = ["critical", "high", "medium", "low"];

export async function open(root, context) {
  const facts = await attempt(() => get("/api/overview"));
  if (!facts) return () => {};
  const page = new OverviewPage(root, context, facts);
  await page.begin();
  return () => page.end();
}

class OverviewPage {
  constructor(root, {live, site}, facts) {
    this._live = live;
    this._site = site;
    this._facts = facts;
    this._fixed = new Binding(live);
    this._ends = [];
    this._place = h("div", {class: "drawing"});
    this._alarms = h("section", {class: "panel alarms", "aria-labelledby": "overview-alarms"});
    root.append(h("h1", {}, "Overview"), this._keys(),
      h("div", {class: "columns"},
        h("section", {class: "panel", "aria-label": "Diagram"}, this._place),
        h("div", {class: "side"}, this._alarms, this._communications())),
      this._control());
  }

  async begin() {
    this._ends.push(this._live.listen("overview", (news) => this._showAlarms(news)));
    this._fixed.begin();
    if (this._facts.drawing) {
      const own = await attempt(() => get("/api/overview/drawing"));
      if (own) {
        const binding = new Binding(this._live);
        replace(this._place, ownDrawing(own.svg, binding));
        binding.begin();
        this._ends.push(() => binding.end());
        return;
      }
    }
    this._draw();
    const watch = new ResizeObserver(() => this._draw());
    watch.observe(this._place);
    this._ends.push(() => watch.disconnect(), () => this._drawn?.end());
  }

  end() {
    this._fixed.end();
    for (const end of this._ends) end();
  }

  _draw() {
    const width = Math.round(Math.max(300, this._place.clientWidth));
    if (width === this._width) return;
    this._width = width;
    const before = this._drawn;
    const binding = (this._drawn = new Binding(this._live));
    const drawing = new SingleLine(this._facts, binding);
    drawing.draw(width);
    replace(this._place, drawing.element);
    binding.begin();
    before?.end();
  }

  // -- key figures -----------------------------------------------------------------------------------------------------

  _keys() {
    const {feeders, power, frequency} = this._facts;
    const list = h("dl", {class: "keys panel"});
    const cards = [];
    const card = (title, names, say) => {
      if (!names.length) return;
      const value = h("dd", {}, "–");
      const heading = h("dt", {}, title);
      cards.push(h("div", {class: "key"}, heading, value));
      this._fixed.add(names, (...known) => {
        const {words, bad, way} = say(known);
        text(heading, way ? `${title}, ${way}` : title);
        text(value, words);
        toggle(value, "bad", bad);
      });
    };
    const sum = (names, unit) => (known) => {
      const good = known.filter((each) => each && usable(each.quality));
      return {words: good.length ? `${number(good.reduce((all, each) => all + each.value, 0), 4)} ${unit}` : "–", bad: good.length < known.length};
    };
    const of = (name) => feeders.map((feeder) => feeder.control[name]).filter(Boolean);
    if (power) card("Site power", [power.point], ([known]) => siteWords(known, power.kw));
    else card("Sum of units", feeders.map((feeder) => feeder.power?.point).filter(Boolean), sum([], "kW"));
    card("Frequency", frequency, (known) => {
      const best = known.find((each) => each && usable(each.quality)) ?? known[0];
      return {words: best ? `${best.value.toFixed(3)} Hz` : "–", bad: !best || !usable(best.quality)};
    });
    card("State of charge", feeders.map((feeder) => feeder.soc).filter(Boolean), socWords);
    card("Set-point", of("target_kw"), sum([], "kW"));
    const base = feeders.filter((feeder) => feeder.control.requested_kw);
    card("Base", base.flatMap((feeder) => [feeder.control.requested_kw, feeder.control.response_kw ?? ""]), (known) => {
      let all = 0;
      let bad = false;
      base.forEach((feeder, at) => {
        const [asked, response] = known.slice(2 * at, 2 * at + 2);
        bad ||= !asked || !usable(asked.quality);
        all += (asked?.value ?? 0) - (response && usable(response.quality) ? response.value : 0);
      });
      return {words: `${number(all, 4)} kW`, bad};
    });
    card("Droop part", of("response_kw"), sum([], "kW"));
    card("Headroom up", of("headroom_up_kw"), sum([], "kW"));
    card("Headroom down", of("headroom_down_kw"), sum([], "kW"));
    list.append(...cards);
    return list;
  }

  // -- alarms ----------------------------------------------------------------------------------------------------------

  _showAlarms({counts, unacknowledged, newest}) {
    const shown = PRIORITIES.filter((priority) => counts[priority]);
    replace(this._alarms, h("h2", {id: "overview-alarms"}, "Alarms"),
      h("p", {class: "counts"}, shown.length ? shown.map((priority) => [h("span", {class: `tag ${priority}`}, `${counts[priority]} ${priority}`), " "]) : "No alarm stands.",
        unacknowledged ? `${unacknowledged} not acknowledged` : ""),
      newest.length ? h("ul", {class: "plain newest"}, newest.map((alarm) => h("li", {}, h("span", {class: `tag ${alarm.priority}`}, alarm.priority),
        " ", h("time", {}, stamp(alarm.raised_ms, {date: false}).slice(0, 8)), " ", alarm.message, h("small", {}, ` ${alarm.state}`)))) : null);
  }

  // -- who answers -----------------------------------------------------------------------------------------------------

  _communications() {
    const line = (point, words, note, yes, no) => {
      const state = h("span", {class: "state"}, "–");
      this._fixed.add([point], (known) => {
        const on = Boolean(known?.value) && usable(known.quality);
        const since = known?.timeMs ? ` for ${age(this._live.now() - known.timeMs)}` : "";
        text(state, known ? (on ? yes : `${no}${since}`) : "–");
        toggle(state, "lost", known && !on);
      });
      return h("li", {}, h("span", {class: "who"}, h("strong", {}, words), ` ${note}`), state);
    };
    const {devices, masters} = this._site;
    return h("section", {class: "panel comms", "aria-labelledby": "overview-comms"}, h("h2", {id: "overview-comms"}, "Communications"),
      h("h3", {}, "Devices"),
      h("ul", {class: "plain"}, devices.map((device) => line(device.online, device.name, device.driver, "answers", "does not answer"))),
      masters.length ? [h("h3", {}, "Masters"), h("ul", {class: "plain"}, masters.map((master) => (master.online
        ? line(master.online, master.master, `${master.protocol} ${master.server}`, "connected", "not connected")
        : h("li", {}, `${master.server}/${master.master} (${master.protocol})`))))] : null);
  }

  // -- who controls ----------------------------------------------------------------------------------------------------

  _control() {
    const {feeders, local} = this._facts;
    const units = feeders.filter((feeder) => Object.keys(feeder.control).length);
    if (!units.length && !local) return null;
    const mode = h("span", {class: "tag"}, "–");
    if (local) {
      this._fixed.add([local], (known) => {
        const sure = known && usable(known.quality);
        const remote = sure && known.value === this._facts.remote_when;
        text(mode, sure ? (remote ? "remote: masters and operators may command" : "local: nobody commands from here") : "local or remote: not known");
        toggle(mode, "doubt", !remote);
      });
    }
    const head = ["Unit", "Who controls", "Power", "Set-point", "Base", "Droop part", "Limits now", "Frequency response", "AGC", "Schedule"];
    const table = h("table", {}, h("thead", {}, h("tr", {}, head.map((title) => h("th", {scope: "col"}, title)))), h("tbody", {}, units.map((unit) => this._unit(unit))));
    return h("section", {class: "panel control", "aria-labelledby": "overview-control"}, h("h2", {id: "overview-control"}, "Control ", local ? mode : null),
      units.length ? h("div", {class: "table", tabindex: "0", role: "region", "aria-label": "Control of each unit"}, table) : null);
  }

  _unit({name, power, control}) {
    const cell = (names, say, classes = "") => {
      const element = h("td", {class: classes}, "–");
      if (names.every(Boolean)) {
        this._fixed.add(names, (...known) => {
          const bad = known.some((each) => !each || !usable(each.quality));
          text(element, known.every(Boolean) ? say(...known) : "–");
          toggle(element, "bad", bad);
        });
      }
      return element;
    };
    const kw = (known) => `${number(known.value, 4)} kW`;
    const droop = control.droop_enabled ? [control.droop_enabled, control.droop_state] : [""];
    return h("tr", {}, h("th", {scope: "row"}, name),
      cell([control.source], (known) => SOURCES[known.value] ?? valueWords(known)),
      cell([power?.point], (known) => `${number(known.value, 4)} ${known.unit}`, "num"),
      cell([control.target_kw], kw, "num"),
      control.response_kw ? cell([control.requested_kw, control.response_kw], (asked, response) => kw({value: asked.value - response.value}), "num") : cell([control.requested_kw], kw, "num"),
      cell([control.response_kw], kw, "num"),
      cell([control.limit_low_kw, control.limit_high_kw], (low, high) => `${number(low.value, 4)} to ${number(high.value, 4)} kW`),
      cell(droop, (enabled, state) => (enabled.value ? `on, ${DROOP[state.value] ?? ""}` : "off")),
      cell(control.agc_enabled ? [control.agc_enabled, control.agc_target_kw] : [""], (on, target) => (on.value ? `on, ${kw(target)}` : "off")),
      cell([control.schedule_kw], kw, "num"));
  }
}

function siteWords(known, scale) {
  if (!known) return {words: "–", bad: true};
  const kw = known.value * scale;
  const word = Math.abs(kw) < 0.1 ? "" : kw > 0 ? "export" : "import";
  return {words: `${number(Math.abs(known.value), 4)} ${known.unit}`, way: word, bad: qualityClass(known.quality) === "bad"};
}

function socWords(known) {
  const good = known.filter((each) => each && usable(each.quality)).map((each) => each.value);
  if (!good.length) return {words: known[0] ? `${number(known[0].value)} %` : "–", bad: true};
  const low = Math.min(...good);
  const high = Math.max(...good);
  return {words: high - low < 0.05 ? `${number(high)} %` : `${number(low, 3)} to ${number(high, 3)} %`, bad: good.length < known.length};
}
