// The interlock matrix, live: causes, effects, state, and what a person may do.

import {get, post} from "../../lib/api.js";
import {ask, say} from "../../lib/dialogs.js";
import {h, replace, text, toggle} from "../../lib/dom.js";
import {qualityClass, qualityWords, stamp, valueWords, withUnit} from "../../lib/format.js";
import {left, value} from "./parts.js";

const TRUTH = new Map([[true, "✓ holds"], [false, "– does not hold"], [null, "? input not usable"]]);

export async function matrixPanel(board) {
  const matrix = await get("/api/interlocks");
  board.answers = {};
  const rows = matrix.rows.map((row) => new MatrixRow(board, row, matrix));
  board.listen("interlocks", ({answers}) => {
    board.answers = answers;
    for (const row of rows) row.drawConditions();
  });
  const names = matrix.rows.flatMap((row) => [...Object.values(row.points), ...row.conditions.flatMap((each) => each.inputs)]);
  const draw = () => {
    for (const row of rows) row.draw();
  };
  board.points(names, draw);
  board.onstate(draw);
  const head = ["Interlock", "Cause", ...matrix.columns, "State", "Act"];
  return h("section", {class: "panel", "aria-label": "Interlocks"}, h("h2", {}, "Interlocks"),
    h("div", {class: "buttons start"},
      board.button("Acknowledge all trips", () => board.order("/api/interlocks/acknowledge", {}, "Acknowledged.")),
      board.button("Reset all that can be", () => board.order("/api/interlocks/reset", {}, "Reset."))),
    h("div", {class: "scrolls", tabindex: "0", role: "region", "aria-label": "Interlock matrix"},
      h("table", {class: "matrix"}, h("thead", {}, h("tr", {}, head.map((words) => h("th", {scope: "col"}, words)))), h("tbody", {}, rows.map((row) => row.element)))));
}

class MatrixRow {
  constructor(board, row, matrix) {
    Object.assign(this, {board, row, maxMinutes: matrix.bypass_max_min});
    this._conditions = row.conditions.map((condition) => ({
      ...condition, truth: h("span", {class: "truth"}, "…"), inputs: condition.inputs.map((name) => ({name, cell: h("span", {class: "input"})})),
    }));
    this._state = h("div", {class: "state"});
    this._acts = h("div", {class: "acts"});
    this._shown = "";
    const effects = matrix.columns.map((column) => row.effects.filter((each) => each.column === column).map((each) => each.words).join(", "));
    this._cells = effects.map((words) => h("td", {class: words ? "effect" : ""}, words));
    this.element = h("tr", {"data-interlock": row.name},
      h("th", {scope: "row"}, row.name, h("small", {}, row.message), row.permissive ? h("small", {}, "permits a start") : null),
      h("td", {class: "cause"}, this._conditions.length ? this._conditions.map((each) => h("div", {}, h("code", {}, each.text), " ", each.truth,
        h("div", {class: "inputs"}, each.inputs.map(({name, cell}) => h("div", {}, `${name} = `, cell))))) : "raised by the gateway itself or a person", h("small", {}, this._terms())),
      this._cells, h("td", {}, this._state), h("td", {}, this._acts));
  }

  _terms() {
    const {row} = this;
    return [
      row.vote ? `vote ${row.vote}` : "", row.delay_s ? `delay ${row.delay_s} s` : "", row.latch ? `latches, reset: ${row.reset === "field+hmi" ? "after acknowledging" : "by a person"}` : "",
      row.conditions.length ? `bad input counts as ${{trip: "true", hold: "before", quality_ok: "false"}[row.on_bad] ?? row.on_bad}` : "",
    ].filter(Boolean).join("; ");
  }

  drawConditions() {
    const answers = this.board.answers[this.row.name] ?? [];
    this._conditions.forEach((each, at) => {
      const answer = answers[at];
      text(each.truth, answer === undefined ? "…" : TRUTH.get(answer));
      toggle(each.truth, "doubt", answer === null);
      toggle(each.truth, "holds", answer === true);
    });
  }

  draw() {
    const {live} = this.board;
    for (const condition of this._conditions) {
      for (const {name, cell} of condition.inputs) {
        const known = live.values.get(name);
        text(cell, known?.kind === "binary" ? `${valueWords(known)} (${known.value})` : withUnit(known) || "–");
        cell.className = `input ${known ? qualityClass(known.quality) : ""}`;
        cell.title = known ? qualityWords(known.quality) : "";
      }
    }
    const is = (flag) => value(live, this.row.points[flag]) === 1;
    const told = this.board.state.interlocks?.[this.row.name] ?? {};
    const flags = {tripped: is("tripped"), latched: is("latched"), bypassed: is("bypassed"), active: is("active"), first: is("first_out")};
    this._drawState(flags, told);
    this._drawActs(flags, told);
    toggle(this.element, "tripped", flags.tripped);
    for (const cell of this._cells) toggle(cell, "in-force", flags.tripped && cell.textContent);
  }

  _drawState(flags, told) {
    const words = stateWords(this.row, flags, told, this.board.live.now());
    const key = JSON.stringify(words);
    if (key === this._shown) return;
    this._shown = key;
    replace(this._state, words.map(([kind, said]) => h("div", {class: kind}, said)));
  }

  _drawActs(flags, told) {
    const {board, row} = this;
    const acts = [];
    if (flags.latched && !told.acknowledged) acts.push(["Acknowledge", "operator"]);
    if (flags.latched) acts.push(["Reset", "operator"]);
    if (flags.bypassed) acts.push(["End bypass", "engineer"]);
    else if (row.may_bypass && !row.built_in) acts.push(["Bypass…", "engineer"]);
    const key = JSON.stringify([acts, told.no_reset]);
    if (key === this._acting) return;
    this._acting = key;
    const focused = this._acts.contains(document.activeElement) ? document.activeElement.textContent : "";
    const run = {
      Acknowledge: () => board.order("/api/interlocks/acknowledge", {name: row.name}, `${row.name} is acknowledged.`),
      Reset: () => board.order("/api/interlocks/reset", {name: row.name}, `${row.name} is reset.`),
      "End bypass": () => board.order("/api/interlocks/unbypass", {name: row.name}, `${row.name} is in action again.`),
      "Bypass…": () => this._bypass(),
    };
    replace(this._acts, acts.map(([words, right]) => board.button(words, run[words], {right, label: `${words.replace("…", "")} ${row.name}`})),
      told.no_reset ? h("small", {class: "no-reset"}, `No reset yet: ${told.no_reset.replace(`${row.name}: `, "")}`) : null);
    if (focused) ([...this._acts.querySelectorAll("button")].find((each) => each.textContent === focused) ?? this._acts.querySelector("button"))?.focus();
  }

  async _bypass() {
    const {row} = this;
    await ask({
      title: `Bypass ${row.name}`,
      body: h("p", {}, `While it is bypassed this interlock does nothing: ${row.message}. It ends by itself and is an alarm as long as it lasts.`),
      fields: [
        {name: "minutes", label: "Minutes", type: "number", required: true, value: 10, min: 0.1, max: this.maxMinutes, step: "any", hint: `At most ${this.maxMinutes} min.`},
        {name: "reason", label: "Reason", required: true, hint: "At least three letters; kept in the audit."},
      ],
      confirm: "Bypass",
      danger: true,
      act: async ({minutes, reason}) => {
        const told = await post("/api/interlocks/bypass", {name: row.name, minutes, reason});
        if (!told.done) throw new Error(told.words);
        say(`${row.name} is bypassed.`);
      },
    });
  }
}

function stateWords(row, flags, told, now) {
  const words = [];
  if (flags.bypassed) {
    words.push(["tag medium", "BYPASSED"]);
    if (told.bypass) words.push(["", `by ${told.bypass.owner}, ${left(told.bypass.until, now)}: ${told.bypass.reason}`]);
  }
  if (flags.tripped) words.push([row.latch ? "tag critical" : "tag high", row.latch ? "TRIPPED" : "ACTIVE"]);
  if (flags.latched) {
    words.push(["", `latched${told.tripped_at ? ` since ${stamp(told.tripped_at / 1e6)}` : ""}`]);
    words.push(["", told.acknowledged ? "acknowledged" : "not acknowledged"]);
    words.push(["", told.cause_there ? "cause still there" : "cause gone"]);
    if (told.cause) words.push(["", told.cause]);
  }
  if (flags.first) words.push(["tag", "first out"]);
  if (row.permissive) words.push(flags.active ? ["", "start permitted"] : ["tag high", "NO START"]);
  else if (!flags.latched && !flags.tripped && told.cause_there) words.push(["", told.delay_left_s > 0 ? `cause there, delay runs: ${told.delay_left_s.toFixed(1)} s left` : "cause is there"]);
  if (told.unknown) words.push(["doubt", "inputs not known yet"]);
  return words.length ? words : [["", "at rest"]];
}
