// Control: units and who drives them, select and execute, droop, interlock matrix, schedule, AGC, fleets, places.

import {get, post} from "../lib/api.js";
import {ask, say} from "../lib/dialogs.js";
import {h, text, toggle} from "../lib/dom.js";
import {agcPanels, fleetPanels, placePanel, reactivePanels, schedulePanels} from "./control/further.js";
import {commandPanel} from "./control/command.js";
import {droopPanels} from "./control/droop.js";
import {matrixPanel} from "./control/matrix.js";
import {unitPanels} from "./control/units.js";

// What the panels share: facts that stand, the state as the core tells it, live values, and what is to be ended.
class Board {
  constructor(facts, context) {
    Object.assign(this, {facts, context, live: context.live, state: {}});
    this._acts = [];
    this._ends = [];
  }

  // act() with every new state, and once a second for what runs out.
  onstate(act) {
    this._acts.push(act);
  }

  points(names, act) {
    this._ends.push(this.live.watch(names.filter(Boolean), act));
  }

  listen(topic, act) {
    this._ends.push(this.live.listen(topic, act));
  }

  every(ms, act) {
    const timer = setInterval(act, ms);
    this._ends.push(() => clearInterval(timer));
  }

  redraw() {
    for (const act of this._acts) act();
  }

  end() {
    for (const end of this._ends.splice(0)) end();
  }

  unit(name) {
    return (this.state.units ?? []).find((each) => each.name === name) ?? {};
  }

  // A button that is there for everybody; without the right it is disabled and says why.
  button(words, act, {right = "operator", kind = "", label} = {}) {
    const may = this.context.may(right);
    return h("button", {type: "button", class: kind, disabled: !may, title: may ? undefined : `This needs ${right === "operator" ? "an operator" : "an engineer"}.`,
      "aria-label": label, onclick: act}, words);
  }

  // Post what a person asked for; the broker's words are shown, a refusal as a problem.
  async order(path, body, done) {
    try {
      const told = await post(path, body);
      if (told.done) say(done);
      else say(`${told.stage}: ${told.text || told.reason}`, "problem");
      return told;
    } catch (error) {
      say(error.message, "problem");
      return undefined;
    }
  }
}

export async function open(root, context) {
  const facts = await get("/api/control");
  const board = new Board(facts, context);
  root.append(bar(board));
  if (!facts.control) {
    root.append(h("section", {class: "panel"}, h("p", {}, "This site has no control section: the gateway does nothing by itself, and commands go straight to the devices.")));
  }
  const command = await commandPanel(board);
  const units = unitPanels(board, command.choose);
  root.append(
    ...units, command.element, ...droopPanels(board), ...(facts.control ? [await matrixPanel(board)] : []),
    ...schedulePanels(board), ...agcPanels(board), ...reactivePanels(board), ...fleetPanels(board, command.choose), ...placePanel(board),
    ...(facts.control ? [attestation(board)] : []),
  );
  board.listen("control", (news) => {
    if (news.state) {
      board.state = news.state;
      board.redraw();
    }
  });
  board.every(1000, () => board.redraw());
  return () => board.end();
}

function bar(board) {
  const {facts} = board;
  const mode = h("strong", {class: "mode"}, facts.local ? "–" : "Remote control is allowed");
  if (facts.local) {
    board.points([facts.local], () => {
      const known = board.live.values.get(facts.local);
      const sure = known && !(known.quality & 0b10001111);
      const remote = sure && known.value === facts.remote_when;
      text(mode, !sure ? "Local or remote: not known, nothing is taken" : remote ? "Remote: commands are taken" : "LOCAL: nobody commands from here");
      toggle(mode, "lost", !remote);
    });
  }
  const stop = board.button("Stop all…", () => stopAll(board), {kind: "danger", label: "Stop all units"});
  return h("div", {class: "stop-bar"}, h("h1", {}, "Control"), mode, facts.control ? stop : null);
}

async function stopAll(board) {
  await ask({
    title: "Stop all units",
    body: h("p", {}, "Every unit is stopped at once and blocked until a person resets it: ", board.facts.units.map((unit) => unit.name).join(", "), "."),
    fields: [{name: "reason", label: "Reason", required: true, hint: "At least three letters; kept in the audit."}],
    confirm: "Stop all now",
    danger: true,
    act: async ({reason}) => {
      const told = await post("/api/control/stop-all", {reason});
      if (!told.done) throw new Error(told.words);
      say("All units are stopped.");
    },
  });
}

function attestation(board) {
  return h("section", {class: "panel"}, h("h2", {}, "Settings"),
    h("p", {}, "SHA-256 of every setting of control, as attested at the start: ", h("code", {class: "hash"}, board.facts.attestation)),
    h("p", {}, `The cycle runs every ${board.facts.cycle_ms} ms.`));
}
