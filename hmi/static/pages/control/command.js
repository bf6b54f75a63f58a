// Select, confirm, execute; then the story of what became of it.

import {get, post} from "../../lib/api.js";
import {ask} from "../../lib/dialogs.js";
import {h, replace, text, toggle} from "../../lib/dom.js";
import {number, stamp, withUnit} from "../../lib/format.js";

const STEPS = {
  accepted: "accepted by the broker", written: "handed to local control or the device", acknowledged: "acknowledged by the device",
  completed: "completed: the feedback agrees", failed: "failed", refused: "refused",
};

export async function commandPanel(board) {
  const panel = new CommandPanel(board);
  await panel.load("");
  return {element: panel.element, choose: (name, value) => panel.choose(name, value)};
}

class CommandPanel {
  constructor(board) {
    this._board = board;
    this._points = [];
    this._search = h("input", {id: "command-search", type: "search", maxlength: "100", placeholder: "part of a name", oninput: () => this._later()});
    this._select = h("select", {id: "command-point", onchange: () => this._picked()});
    this._slider = h("input", {id: "command-slider", type: "range", "aria-label": "Value, slider", oninput: () => {
      this._touched = true;
      this._value.value = this._slider.value;
    }});
    this._value = h("input", {id: "command-value", type: "number", step: "any", required: true, oninput: () => {
      this._touched = true;
      this._slider.value = this._value.value;
    }});
    this._state = h("select", {id: "command-state", onchange: () => {
      this._touched = true;
    }}, h("option", {value: "1"}, "On / start (1)"), h("option", {value: "0"}, "Off / stop (0)"));
    this._about = h("p", {class: "about"});
    this._story = h("ol", {class: "story", role: "status", "aria-live": "polite", "aria-label": "What became of the command"});
    this._problem = h("p", {class: "problem", role: "alert"});
    this._numberField = h("div", {class: "field"}, h("label", {for: "command-value"}, "Value"), this._value, this._slider);
    this._stateField = h("div", {class: "field"}, h("label", {for: "command-state"}, "Value"), this._state);
    const go = board.button("Select", () => {}, {kind: "main"});
    go.type = "submit";
    const form = h("form", {class: "command-form", onsubmit: (event) => {
      event.preventDefault();
      this._ask();
    }},
    h("div", {class: "field"}, h("label", {for: "command-search"}, "Find"), this._search),
    h("div", {class: "field wide"}, h("label", {for: "command-point"}, "Set-point or control"), this._select),
    this._numberField, this._stateField, h("div", {class: "field"}, go));
    this._form = form;
    const rights = board.context.may("operator") ? null : h("p", {}, "You may look; commands need an operator.");
    this.element = h("section", {class: "panel", "aria-label": "Command"}, h("h2", {}, "Command"), rights, form, this._about, this._problem, this._story);
    board.listen("control", (news) => news.story && this._step(news.story));
    board.onstate(() => this._present());
  }

  _later() {
    clearTimeout(this._waiting);
    this._waiting = setTimeout(() => this.load(this._search.value), 250);
  }

  async load(search) {
    const found = await get("/api/control/points", {search});
    const before = this._select.value;
    this._points = found.points;
    const own = found.points.filter((point) => point.control);
    const others = found.points.filter((point) => !point.control);
    const option = (point) => h("option", {value: point.name, title: point.description}, point.name);
    replace(this._select, own.length ? h("optgroup", {label: "Units"}, own.map(option)) : null,
      others.length ? h("optgroup", {label: found.total > found.points.length ? `Others (the first of ${found.total}: search)` : "Others"}, others.map(option)) : null);
    if (found.points.some((point) => point.name === before)) this._select.value = before;
    this._picked();
  }

  // From another panel: this point, and perhaps this value.
  async choose(name, value) {
    if (!this._points.some((point) => point.name === name)) {
      this._search.value = name;
      await this.load(name);
    }
    this._select.value = name;
    this._picked();
    if (value !== undefined) {
      this._touched = true;
      this._state.value = String(value);
      this._value.value = String(value);
    }
    const field = this._point()?.kind === "control" ? this._state : this._value;
    field.scrollIntoView({block: "center"});
    field.focus();
  }

  _point() {
    return this._points.find((point) => point.name === this._select.value);
  }

  _picked() {
    const point = this._point();
    const control = point?.kind === "control";
    this._numberField.hidden = control;
    this._stateField.hidden = !control;
    this._value.disabled = control;
    if (!point) {
      text(this._about, "No such point.");
      return;
    }
    this._touched = false;
    const bounded = point.low !== null && point.high !== null;
    for (const input of [this._slider, this._value]) {
      for (const [edge, at] of [["min", point.low], ["max", point.high]]) {
        if (at === null) input.removeAttribute(edge);
        else input.setAttribute(edge, String(at));
      }
    }
    this._slider.hidden = control || !bounded;
    this._slider.step = bounded ? String((point.high - point.low) / 1000 || 1) : "any";
    this._value.value = "";
    this._watch?.();
    this._watch = this._board.live.watch([point.name], () => this._present());
    this._present();
  }

  _present() {
    const point = this._point();
    if (!point) return;
    this._begin(point);
    const range = point.low === null && point.high === null ? "" : `Range ${number(point.low ?? -Infinity)} to ${number(point.high ?? Infinity)} ${point.unit}. `;
    const ramp = point.ramp_kw_per_s ? `Ramp ${number(point.ramp_kw_per_s)} kW/s. ` : "";
    const by = point.control ? `Taken by local control of ${point.control}. ` : "";
    text(this._about, `${point.description ? `${point.description}. ` : ""}${range}${ramp}${by}Now: ${withUnit(this._board.live.values.get(point.name)) || "–"}.`);
  }

  // Until a person types, the value is the present one.
  _begin(point) {
    const known = this._board.live.values.get(point.name);
    if (this._touched || !known || known.quality & 0b10001111) return;
    this._touched = true;
    this._value.value = this._slider.value = String(Math.round(known.value * 1000) / 1000);
    if (point.kind === "control") this._state.value = known.value ? "1" : "0";
  }

  async _ask() {
    const point = this._point();
    if (!point) return;
    const value = Number(point.kind === "control" ? this._state.value : this._value.value);
    const asked = {point: point.name, value};
    replace(this._problem);
    replace(this._story);
    let selected;
    try {
      selected = await post("/api/control/select", asked);
    } catch (error) {
      text(this._problem, error.message);
      return;
    }
    if (!selected.select) {
      text(this._problem, [`Select ${selected.told.stage}: ${selected.told.text || selected.told.reason}`, ...selected.warnings].join("\n"));
      return;
    }
    await this._confirm(point, asked, selected);
  }

  async _confirm(point, asked, selected) {
    const words = point.kind === "control" ? (asked.value ? "on (1)" : "off (0)") : `${number(asked.value)} ${point.unit}`;
    const timer = h("p", {class: "timer", role: "timer"});
    const ends = Date.now() + selected.valid_s * 1000;
    const tick = () => {
      const seconds = Math.ceil((ends - Date.now()) / 1000);
      text(timer, seconds > 0 ? `Selected, all checks passed. Execute within ${seconds} s.` : "The select has run out: nothing will be done. Cancel and select again.");
      toggle(timer, "lost", seconds <= 0);
    };
    tick();
    const ticking = setInterval(tick, 500);
    const body = h("div", {},
      h("ul", {}, selected.lines.map((line) => h("li", {}, line))),
      selected.warnings.length ? h("div", {class: "warnings"}, h("h3", {}, "In the way"), h("ul", {}, selected.warnings.map((line) => h("li", {}, line)))) : h("p", {}, "No interlock stands in the way."),
      timer);
    const go = await ask({title: `${point.name} to ${words}`, body, confirm: "Execute", danger: selected.warnings.length > 0});
    clearInterval(ticking);
    if (go === null) {
      await post("/api/control/cancel", {select: selected.select}).catch(() => {});
      this._add("given up", "The select was given up: nothing was done.");
      return;
    }
    await this._execute(asked, selected.select);
  }

  async _execute(asked, select) {
    this._following = select;
    this._seen = new Set();
    this._add("selected", `selected: ${asked.point} to ${number(asked.value)}`);
    try {
      const answer = await post("/api/control/execute", {...asked, select});
      this._step({select, step: answer.told.stage, words: answer.told.words, key: answer.command});
      if (answer.command) this._story.append(h("li", {class: "plain"}, h("a", {href: `#/commands/${encodeURIComponent(answer.command)}`}, "Its passport")));
    } catch (error) {
      this._add("failed", error.message);
    }
  }

  // A step of the story; each is shown once, whichever way it comes.
  _step({select, step, words}) {
    if (select !== this._following || this._seen.has(step)) return;
    this._seen.add(step);
    const said = ["failed", "refused"].includes(step) ? words : STEPS[step] ?? step;
    this._add(step, said);
  }

  _add(step, words) {
    const bad = step === "failed" || step === "refused";
    this._story.append(h("li", {class: bad ? "lost" : "", "data-step": step}, `${stamp(this._board.live.now(), {date: false})} ${words}`));
  }
}
