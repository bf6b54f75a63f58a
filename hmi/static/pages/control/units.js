// Units: who drives each, with what, within which limits.

import {h, text, toggle} from "../../lib/dom.js";
import {kw, left, liveList, pointRow, value} from "./parts.js";

// gateway/control/controller.py PriorityClass
const MODES = {
  safety: "Stopped by an interlock", interlock: "Ramped by an interlock", operator: "A person at the gateway", response: "Frequency response",
  remote: "Remote: a master, a fleet or AGC", schedule: "Schedule", fallback: "Fallback: the set-point has expired", hold: "Nobody asks: the device keeps what it has",
};

export function unitPanels(board, choose) {
  if (!board.facts.units.length) return [];
  return [h("div", {class: "grid"}, board.facts.units.map((unit) => panel(board, unit, choose)))];
}

function panel(board, unit, choose) {
  const {live} = board;
  const {points} = unit;
  const told = () => board.unit(unit.name);
  const mode = h("p", {class: "unit-mode"}, "–");
  const trouble = h("p", {class: "problem"});
  const list = liveList(board, [
    ["Controlled by", [], () => owner(told(), live.now())],
    ["Waits behind", [], () => behind(told(), live.now())],
    pointRow(board, "Set-point in force", points.target_kw),
    ["Base set-point", [], () => kw(told().base_kw)],
    ["Response on top", [], () => kw(told().response_kw)],
    pointRow(board, "Set-point in the device", points.setpoint),
    pointRow(board, "Measured power", points.power),
    pointRow(board, "State of charge", points.soc),
    ["Limits now", [points.limit_low_kw, points.limit_high_kw], () => limits(board, unit, told())],
    ["Ramp", [], () => (unit.ramp_kw_per_s ? `${unit.ramp_kw_per_s} kW/s` : "as quick as the device")],
    ["A master's set-point holds", [], () => (unit.valid_s ? `${unit.valid_s} s, then ${unit.fallback}` : "until another comes")],
    ["Writes that failed", [points.write_errors], () => String(value(live, points.write_errors) ?? "–")],
  ]);
  const running = h("span", {class: "tag"}, "–");
  const release = board.button("Release", () => board.order("/api/control/release", {unit: unit.name}, `${unit.name} is released.`), {label: `Release ${unit.name}`});
  const buttons = [
    board.button("Set-point…", () => choose(points.setpoint), {label: `Set-point of ${unit.name}`}),
    points.run ? board.button("Start…", () => choose(points.run, 1), {label: `Start ${unit.name}`}) : null,
    points.run ? board.button("Stop…", () => choose(points.run, 0), {label: `Stop ${unit.name}`}) : null,
    release,
  ];
  const draw = () => {
    const now = told();
    text(mode, MODES[now.source] ?? "–");
    toggle(mode, "lost", now.stopped || now.source === "interlock");
    const said = [
      now.blocked_by ? `Blocked by ${now.blocked_by}` : "", now.first_out ? `First out: ${now.first_out}` : "",
      now.limited_by ? `Limited by ${now.limited_by}` : "", now.not_ready ? `Not ready: ${now.not_ready}` : "",
      now.no_start ? `No start: ${now.no_start}` : "", now.trouble ? `The device: ${now.trouble}` : "",
    ];
    text(trouble, said.filter(Boolean).join("\n"));
    const on = value(live, points.running);
    text(running, on === undefined ? "running: not known" : on ? "running" : "stopped");
    if (board.context.may("operator")) release.disabled = !now.operator;
  };
  board.onstate(draw);
  board.points([points.running], draw);
  return h("section", {class: "panel unit", "aria-label": `Unit ${unit.name}`}, h("h2", {}, `Unit ${unit.name} `, running), mode, trouble, list,
    h("div", {class: "buttons start"}, buttons));
}

function owner(told, now) {
  const held = told.operator ?? (told.source === "remote" ? told.remote : null);
  if (held) return `${held.owner}, ${left(held.until, now)}`;
  if (!told.source) return "–";
  return told.source === "hold" ? "nobody" : told.owner;
}

function behind(told, now) {
  if (!told.remote || (!told.operator && told.source === "remote")) return "nobody";
  return `${told.remote.owner}: ${kw(told.remote.kw)}, ${left(told.remote.until, now)}`;
}

function limits(board, unit, told) {
  const [low, high] = [value(board.live, unit.points.limit_low_kw), value(board.live, unit.points.limit_high_kw)];
  const by = told.limited_by ? ` (${told.limited_by})` : "";
  return low === undefined ? "–" : `${kw(low)} to ${kw(high)}${by}`;
}
