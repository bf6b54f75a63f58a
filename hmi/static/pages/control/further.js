// What only some sites have: schedule, AGC, reactive power, fleets, places.

import {get} from "../../lib/api.js";
import {attempt} from "../../lib/dialogs.js";
import {h, replace, s, text} from "../../lib/dom.js";
import {age, number, withUnit} from "../../lib/format.js";
import {frame, kw, liveList, pointRow, ticks, value} from "./parts.js";

export function schedulePanels(board) {
  return board.facts.schedules.map((schedule) => {
    const {points} = schedule;
    const figure = h("div", {});
    const load = async () => {
      const day = await attempt(() => get("/api/control/schedule", {name: schedule.name}));
      if (day) replace(figure, steps(day));
    };
    load();
    let block;
    board.points([points.schedule_block], () => {
      const now = value(board.live, points.schedule_block);
      if (block !== undefined && now !== block) load();
      block = now;
    });
    board.every(60_000, load);
    return h("section", {class: "panel", "aria-label": `Schedule of ${schedule.name}`}, h("h2", {}, `Schedule of ${schedule.name}`), figure, liveList(board, [
      pointRow(board, "Block now", points.schedule_block), pointRow(board, "Scheduled now, kW", points.schedule_kw), pointRow(board, "Measured power", points.power),
      pointRow(board, "This block: scheduled, kWh", points.block_scheduled_kwh), pointRow(board, "This block: delivered, kWh", points.block_actual_kwh),
      pointRow(board, "This block: deviation, kWh", points.block_deviation_kwh), pointRow(board, "Last block: scheduled, kWh", points.last_scheduled_kwh),
      pointRow(board, "Last block: delivered, kWh", points.last_actual_kwh), pointRow(board, "Last block: deviation, kWh", points.last_deviation_kwh),
      pointRow(board, "Last block: deviation, %", points.last_deviation_percent),
    ]));
  });
}

function steps(day) {
  const known = [...day.scheduled_kw, ...day.actual_kw].filter((each) => each !== null);
  const most = Math.max(1, ...known);
  const least = Math.min(0, ...known);
  const margin = (most - least) * 0.08;
  const {svg, x, y, inner} = frame({
    width: 900, height: 260, xs: [0, 96], ys: [least - margin, most + margin], label: `Scheduled and delivered power on ${day.day} in 96 blocks`,
    xWords: [0, 16, 32, 48, 64, 80, 96].map((at) => ({at, words: `${String(at / 4).padStart(2, "0")}:00`})),
    yWords: ticks(least, most, 4).map((at) => ({at, words: number(at)})),
  });
  day.actual_kw.forEach((amount, at) => {
    if (amount === null) return;
    const [top, bottom] = [Math.min(y(amount), y(0)), Math.max(y(amount), y(0))];
    svg.append(s("rect", {x: x(at) + 1, width: x(at + 1) - x(at) - 2, y: top, height: Math.max(1, bottom - top), class: "actual"}));
  });
  let path = "";
  let pen = false;
  day.scheduled_kw.forEach((amount, at) => {
    if (amount === null) {
      pen = false;
      return;
    }
    path += `${pen ? "L" : "M"}${x(at)},${y(amount)}L${x(at + 1)},${y(amount)}`;
    pen = true;
  });
  svg.append(s("path", {d: path || "M0,0", class: "scheduled"}), s("line", {x1: x(day.block - 0.5), x2: x(day.block - 0.5), y1: inner.top, y2: inner.bottom, class: "edge"}));
  return h("figure", {}, svg, h("figcaption", {}, h("p", {class: "legend"},
    `${day.day}: line: scheduled, bars: delivered, dashed: block ${day.block} now, kW. ${day.recorded ? "" : "No history is recorded: what was delivered is known for the last block only, below."}`)));
}

export function agcPanels(board) {
  return board.facts.agc.map((agc) => {
    const {points} = agc;
    const heard = () => board.state.agc?.[agc.name];
    return h("section", {class: "panel", "aria-label": `AGC of ${agc.name}`}, h("h2", {}, `AGC of ${agc.name}`), liveList(board, [
      ["Enabled", [points.agc_enabled], () => ({1: "on", 0: "off"})[value(board.live, points.agc_enabled)] ?? "–"],
      agc.signal ? pointRow(board, "Signal", agc.signal) : ["Signal", [], () => (heard() ? kw(heard().kw) : "none yet")],
      ["Age of the signal", agc.signal ? [agc.signal] : [], () => age(board.live.now() - (agc.signal ? board.live.values.get(agc.signal)?.seenMs ?? NaN : heard() ? heard().at / 1e6 : NaN))],
      ["No signal any more after", [], () => `${agc.valid_s} s`],
      ["Lost", [points.agc_lost], () => ({1: "LOST: enabled, and no signal", 0: "no"})[value(board.live, points.agc_lost)] ?? "–"],
      pointRow(board, "Asks for, kW", points.agc_target_kw), ["Range", [], () => `${kw(agc.low_kw)} to ${kw(agc.high_kw)}`],
    ]));
  });
}

const REACTIVE = {fixed: "a fixed set-point", "power-factor": "a power factor", voltage: "the voltage"};

export function reactivePanels(board) {
  return board.facts.reactive.map((reactive) => {
    const {points} = reactive;
    return h("section", {class: "panel", "aria-label": `Reactive power of ${reactive.name}`}, h("h2", {}, `Reactive power of ${reactive.name}`), liveList(board, [
      ["Goes by", [], () => `${REACTIVE[reactive.mode] ?? reactive.mode}${reactive.mode === "power-factor" ? ` ${reactive.power_factor}` : ""}`],
      pointRow(board, "Set-point sent, kvar", points.reactive_target_kvar), pointRow(board, "In the device", points.setpoint),
      ["Cut by the capability", [points.reactive_limited], () => ({1: "yes", 0: "no"})[value(board.live, points.reactive_limited)] ?? "–"],
      pointRow(board, "Voltage", points.voltage), ["Rated", [], () => `${number(reactive.rated_kva)} kVA`],
    ]));
  });
}

export function fleetPanels(board, choose) {
  return board.facts.fleets.map((fleet) => {
    const {points} = fleet;
    const told = () => board.state.fleets?.[fleet.name] ?? {};
    const cells = fleet.units.map((name) => ({name, unit: board.facts.units.find((each) => each.name === name), share: h("td", {class: "num"}), power: h("td", {class: "num"}), soc: h("td", {class: "num"}), limits: h("td", {})}));
    const draw = () => {
      for (const cell of cells) {
        const now = board.unit(cell.name);
        text(cell.share, cell.name in (told().shares ?? {}) ? kw(told().shares[cell.name]) : "–");
        text(cell.power, withUnit(board.live.values.get(cell.unit?.points.power)) || "–");
        text(cell.soc, withUnit(board.live.values.get(cell.unit?.points.soc)) || "–");
        text(cell.limits, Number.isFinite(now.low_kw) ? `${kw(now.low_kw)} to ${kw(now.high_kw)}` : "–");
      }
    };
    board.onstate(draw);
    board.points(cells.flatMap((cell) => [cell.unit?.points.power, cell.unit?.points.soc]), draw);
    const release = board.button("Release", () => board.order("/api/control/release", {fleet: fleet.name}, `${fleet.name} is released.`), {label: `Release fleet ${fleet.name}`});
    return h("section", {class: "panel", "aria-label": `Fleet ${fleet.name}`}, h("h2", {}, `Fleet ${fleet.name}`), liveList(board, [
      ["Set-point that stands", [], () => (told().asked_kw === null || told().asked_kw === undefined ? "nobody asks" : kw(told().asked_kw))],
      ["Shared", [], () => fleet.method], pointRow(board, "Asked of the units together, kW", points.target_kw), pointRow(board, "That no unit can take, kW", points.unserved_kw),
      ["Units can do", [points.available_low_kw, points.available_high_kw], () => `${kw(value(board.live, points.available_low_kw))} to ${kw(value(board.live, points.available_high_kw))}`],
      pointRow(board, "Units available", points.units_available),
    ]), h("div", {class: "scrolls", tabindex: "0", role: "region", "aria-label": `Shares of fleet ${fleet.name}`}, h("table", {},
      h("thead", {}, h("tr", {}, ["Unit", "Share", "Power", "State of charge", "Limits"].map((words) => h("th", {scope: "col"}, words)))),
      h("tbody", {}, cells.map((cell) => h("tr", {}, h("th", {scope: "row"}, cell.name), cell.share, cell.power, cell.soc, cell.limits))))),
    h("div", {class: "buttons start"}, board.button("Set-point…", () => choose(points.setpoint_kw), {label: `Set-point of fleet ${fleet.name}`}), release));
  });
}

export function placePanel(board) {
  const {places} = board.facts;
  if (!places.length) return [];
  const rows = places.map((place) => ({place, cells: ["power_kw", "energy_kwh", "soc", "units_online"].map((key) => ({name: place.points[key], cell: h("td", {class: "num"})}))}));
  board.points(rows.flatMap((row) => row.cells.map(({name}) => name)), () => {
    for (const row of rows) for (const {name, cell} of row.cells) text(cell, withUnit(board.live.values.get(name)) || "–");
  });
  return [h("section", {class: "panel", "aria-label": "Places"}, h("h2", {}, "Places"), h("div", {class: "scrolls", tabindex: "0", role: "region", "aria-label": "What places add up to"}, h("table", {},
    h("thead", {}, h("tr", {}, ["Place", "Units", "Power, kW", "Energy, kWh", "State of charge, %", "Units online"].map((words) => h("th", {scope: "col"}, words)))),
    h("tbody", {}, rows.map(({place, cells}) => h("tr", {}, h("th", {scope: "row"}, place.name), h("td", {}, place.units.join(", ")), cells.map(({cell}) => cell)))))))];
}
