// The single-line diagram: grid, meter, breaker, transformer, busbar, and a column for each unit. Laid out anew for
// each width; `facts` are those of GET /api/overview.

import {replace, s, text, toggle} from "./dom.js";
import {number, qualityClass, qualityWords, usable, valueWords} from "./format.js";

const COLUMN = 150;
const HEAD = 178;
const BLOCK = 270;
const UNIT = {
  battery: {up: "discharges", down: "charges", idle: "at rest"},
  load: {up: "takes", down: "feeds in", idle: "at rest", reverse: true},
  solar: {up: "feeds in", down: "takes", idle: "no power"},
  meter: {up: "exports", down: "imports", idle: "no power"},
};
const OTHER = {up: "delivers", down: "takes", idle: "no power"};

export class SingleLine {
  constructor(facts, binding) {
    this._facts = facts;
    this._binding = binding;
    this.element = s("svg", {class: "single-line", role: "group", "aria-label": "Single-line diagram"});
  }

  draw(width) {
    const {feeders} = this._facts;
    const perRow = Math.max(1, Math.min(feeders.length || 1, Math.floor((width - 24) / COLUMN)));
    const rows = Math.max(1, Math.ceil(feeders.length / perRow));
    const height = HEAD + rows * BLOCK;
    this.element.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.element.setAttribute("width", width);
    this.element.setAttribute("height", height);
    const step = (width - 24) / perRow;
    const middle = perRow === 1 ? 12 + step / 2 : width / 2;
    replace(this.element);
    this._head(middle);
    for (let row = 0; row < rows; row += 1) {
      const inRow = feeders.slice(row * perRow, (row + 1) * perRow);
      const y = HEAD + row * BLOCK;
      if (row) this._line(14, y - BLOCK, 14, y, "wire");
      const from = row || rows > 1 ? 14 : 12 + step * 0.18;
      const to = row && inRow.length < perRow ? 12 + step * inRow.length - step * 0.18 : width - 12 - step * 0.18;
      this._line(from, y, Math.max(to, row ? 0 : middle + 40), y, "busbar");
      inRow.forEach((feeder, at) => this._feeder(feeder, 12 + step * (at + 0.5) - (step < 170 ? 12 : 0), y, step));
    }
  }

  // -- the grid connection ---------------------------------------------------------------------------------------------

  _head(x) {
    const {power, voltage, frequency, connection} = this._facts;
    const side = x + 26;
    this._put(s("circle", {class: "symbol", cx: x, cy: 22, r: 17}), s("path", {class: "sketch", d: `M${x - 10} 22q5 -10 10 0t10 0`}));
    this._label(x - 26, 19, "Grid", "end strong");
    if (frequency.length) this._frequency(x - 26, 36, frequency);
    const switches = connection.flatMap((device) => device.switches);
    this._line(x, 39, x, 89, "wire");
    if (switches.length) this._switch(x, 64, switches[0]);
    this._put(s("circle", {class: "symbol clear", cx: x, cy: 102, r: 13}), s("circle", {class: "symbol clear", cx: x, cy: 119, r: 13}));
    this._line(x, 132, x, HEAD, "wire");
    if (power) this._flow(side, 146, power, UNIT.meter, null, x, 134, HEAD);
    if (voltage) this._value(side, 118, voltage, "start");
    connection.forEach((device, at) => this._answers(side, 20 + at * 16, device, "start"));
    if (!connection.length) this._label(side, 28, "no meter is known here", "start soft");
  }

  _frequency(x, y, names) {
    const element = this._text(x, y, "end value");
    this._link(element, names[0]);
    this._binding.add(names, (...known) => {
      const best = known.find((each) => each && usable(each.quality)) ?? known[0];
      this._say(element, best ? `${usable(best.quality) ? best.value.toFixed(3) : valueWords(best)} Hz` : "–", best);
    });
  }

  // -- one unit --------------------------------------------------------------------------------------------------------

  _feeder(feeder, x, top, step) {
    const words = UNIT[feeder.sort] ?? OTHER;
    const switches = feeder.devices.flatMap((device) => device.switches);
    const ac = switches[0];
    const dc = feeder.sort === "battery" ? switches[1] : undefined;
    this._line(x, top, x, top + 20, "wire");
    if (ac) this._switch(x, top + 28, ac);
    this._line(x, top + (ac ? 36 : 20), x, top + 94, "wire");
    if (feeder.power) this._flow(x + 14, top + 62, feeder.power, words, feeder.rated_kw, x, top + 40, top + 92);
    const converter = ["battery", "solar", "converter"].includes(feeder.sort);
    let y = top + 94;
    if (converter) {
      this._put(s("rect", {class: "symbol", x: x - 15, y, width: 30, height: 30}), s("path", {class: "sketch", d: `M${x - 15} ${y + 30}l30 -30M${x - 11} ${y + 8}q3 -6 6 0t6 0M${x + 2} ${y + 21}h9M${x + 2} ${y + 25}h9`}));
      this._line(x, y + 30, x, y + 56, "wire");
      if (dc) this._switch(x, y + 43, dc);
      y += 56;
    } else {
      this._line(x, y, x, y + 26, "wire");
      y += 26;
    }
    this._symbol(feeder, x, y);
    this._label(x, top + 229, feeder.name, "middle strong", step);
    this._state(feeder, x, top + 244, step);
  }

  _symbol(feeder, x, y) {
    const shapes = {
      battery: () => this._battery(feeder, x, y),
      solar: () => this._put(s("rect", {class: "symbol", x: x - 26, y, width: 52, height: 34}), s("path", {class: "sketch", d: `M${x - 26} ${y + 17}h52M${x - 9} ${y}v34M${x + 9} ${y}v34`})),
      wind: () => this._put(s("circle", {class: "symbol", cx: x, cy: y + 20, r: 20}), s("path", {class: "sketch", d: `M${x} ${y + 20}v-15M${x} ${y + 20}l13 8M${x} ${y + 20}l-13 8`})),
      load: () => this._put(s("path", {class: "symbol", d: `M${x - 16} ${y}h32l-16 26z`})),
      meter: () => this._put(s("circle", {class: "symbol", cx: x, cy: y + 18, r: 18}), s("path", {class: "sketch", d: `M${x} ${y + 18}l9 -9`})),
      generator: () => this._put(s("circle", {class: "symbol", cx: x, cy: y + 20, r: 20}), this._word(x, y + 25, "G")),
    };
    (shapes[feeder.sort] ?? (() => this._put(s("rect", {class: "symbol", x: x - 20, y, width: 40, height: 36}))))();
  }

  _battery(feeder, x, y) {
    const [low, high] = feeder.soc_limits ?? [0, 100];
    const bar = s("rect", {class: "charge", x: x - 22, width: 44, y: y + 60, height: 0});
    const at = (percent) => y + 60 - (56 * percent) / 100;
    this._put(s("rect", {class: "symbol", x: x - 10, y, width: 20, height: 4}), s("rect", {class: "symbol", x: x - 24, y: y + 4, width: 48, height: 58, rx: 3}), bar,
      low > 0 ? s("path", {class: "limit", d: `M${x - 24} ${at(low)}h8M${x + 16} ${at(low)}h8`}) : null,
      high < 100 ? s("path", {class: "limit", d: `M${x - 24} ${at(high)}h8M${x + 16} ${at(high)}h8`}) : null);
    if (!feeder.soc) return;
    const words = this._text(x + 32, y + 38, "start value");
    this._link(words, feeder.soc);
    this._binding.add([feeder.soc], (known) => {
      const percent = known && Number.isFinite(known.value) ? Math.max(0, Math.min(100, known.value)) : 0;
      bar.setAttribute("height", ((56 * percent) / 100).toFixed(1));
      bar.setAttribute("y", at(percent).toFixed(1));
      toggle(bar, "bad", !known || !usable(known.quality));
      this._say(words, known ? `${valueWords(known)} %` : "–", known);
    });
  }

  // Running, mode, troubles, who does not answer: in words, the worst first.
  _state(feeder, x, y, step) {
    const lines = [this._text(x, y, "middle state"), this._text(x, y + 15, "middle state")];
    const {running, devices, control} = feeder;
    const modes = devices.map((device) => device.mode).filter(Boolean);
    const troubles = devices.flatMap((device) => device.troubles);
    const onlines = devices.map((device) => device.online);
    const own = [control.tripped, control.blocked].filter(Boolean);
    const names = [running, ...modes.map((mode) => mode.point), ...troubles, ...onlines, ...own];
    this._binding.add(names, (...known) => {
      const all = new Map(names.map((name, at) => [name, known[at]]));
      const on = (name) => Boolean(name && all.get(name)?.value && usable(all.get(name).quality));
      const silent = devices.filter((device) => all.get(device.online) && !all.get(device.online).value).map((device) => `${device.name} does not answer`);
      const bad = [...(on(control.tripped) ? ["tripped"] : []), ...(on(control.blocked) ? ["blocked"] : []), ...troubles.filter(on).map(last), ...silent];
      const run = all.get(running);
      const plain = [run && usable(run.quality) ? (run.value ? "running" : "stopped") : "", ...modes.map((mode) => {
        const at = all.get(mode.point);
        return at && usable(at.quality) ? mode.words[at.value] ?? "" : "";
      })].filter(Boolean).join(", ");
      this._fit(lines[0], bad.length ? bad.join(", ") : plain, step);
      this._fit(lines[1], bad.length ? plain : "", step);
      toggle(lines[0], "trouble", bad.length);
    });
  }

  _fit(element, words, step) {
    const most = Math.floor(step / 7.5);
    text(element, words.length > most ? `${words.slice(0, most - 1)}…` : words);
  }

  _answers(x, y, device, anchor) {
    const element = this._text(x, y, `${anchor} soft`);
    this._binding.add([device.online], (known) => {
      const off = known && !known.value;
      text(element, off ? `${device.name} does not answer` : device.name);
      toggle(element, "trouble", off);
    });
  }

  // -- parts -----------------------------------------------------------------------------------------------------------

  // Power with its direction: words, number and an arrow on the wire; up is towards the grid.
  _flow(tx, ty, power, words, rated, x, from, to) {
    const value = this._text(tx, ty, "start value");
    const word = this._text(tx, ty + 15, "start soft");
    const run = s("line", {class: "flow", x1: x, y1: from, x2: x, y2: to});
    const arrow = s("path", {class: "arrow"});
    this._put(run, arrow);
    this._link(value, power.point);
    const middle = (from + to) / 2;
    this._binding.add([power.point], (known) => {
      const fit = known && usable(known.quality);
      const kw = fit ? known.value * power.kw * (words.reverse ? -1 : 1) : 0;
      const moves = Math.abs(kw) > Math.max(0.1, (rated ?? 0) * 0.002);
      this._say(value, known ? `${fit ? number(Math.abs(known.value), 4) : valueWords(known)} ${known.unit}` : "–", known);
      text(word, fit ? (moves ? ((kw > 0) !== Boolean(words.reverse) ? words.up : words.down) : words.idle) : qualityWords(known?.quality ?? 8));
      const tip = kw > 0 ? middle - 8 : middle + 8;
      arrow.setAttribute("d", moves ? `M${x - 7} ${kw > 0 ? middle + 5 : middle - 5}L${x} ${tip}L${x + 7} ${kw > 0 ? middle + 5 : middle - 5}Z` : "");
      run.setAttribute("class", `flow ${moves ? (kw > 0 ? "up" : "down") : "none"}`);
    });
  }

  _switch(x, y, facts) {
    const box = s("rect", {class: "switch", x: x - 8, y: y - 8, width: 16, height: 16});
    const words = this._text(x - 14, y + 4, "end soft");
    this._put(box);
    this._link(words, facts.point);
    this._binding.add([facts.point], (known) => {
      const fit = known && usable(known.quality);
      const sure = fit && (known.kind !== "double" || known.value === 1 || known.value === 2);
      const closed = sure && known.value === facts.closed;
      box.setAttribute("class", `switch ${sure ? (closed ? "closed" : "open") : "unsure"}`);
      this._say(words, !known ? "–" : sure ? (closed ? "closed" : "open") : fit ? valueWords(known) : `${known.value === facts.closed ? "closed" : "open"}`, known);
    });
  }

  _value(x, y, name, anchor) {
    const element = this._text(x, y, `${anchor} value`);
    this._link(element, name);
    this._binding.add([name], (known) => this._say(element, known ? `${valueWords(known)} ${known.unit}` : "–", known));
  }

  _say(element, words, known) {
    const bad = !known || !usable(known.quality);
    text(element, bad && known ? `${words} ?` : words);
    toggle(element, "bad", bad);
    toggle(element, "doubt", known && qualityClass(known.quality) === "doubt");
  }

  _label(x, y, words, classes, room) {
    const element = this._text(x, y, classes);
    text(element, room && words.length * 8 > room ? `…${words.slice(-Math.max(3, Math.floor(room / 8)))}` : words);
  }

  _text(x, y, classes) {
    const element = s("text", {x, y, class: classes});
    this._put(element);
    return element;
  }

  _word(x, y, words) {
    return s("text", {x, y, class: "middle strong"}, words);
  }

  // The value's own page is one click away.
  _link(element, name) {
    const link = s("a", {href: `#/points/${name}`, "aria-label": name});
    element.replaceWith(link);
    link.append(element);
  }

  _line(x1, y1, x2, y2, classes) {
    this._put(s("line", {x1, y1, x2, y2, class: classes}));
  }

  _put(...parts) {
    this.element.append(...parts.filter(Boolean));
  }
}

const last = (name) => name.slice(name.lastIndexOf("/") + 1).replaceAll("_", " ");
