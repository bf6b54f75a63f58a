// Alarms in words and shapes: the same on every page. Nothing is said by colour alone.

import {s} from "./dom.js";
import {age, number} from "./format.js";

export const PRIORITIES = ["critical", "high", "medium", "low"];
export const PRIORITY_WORDS = {critical: "Critical", high: "High", medium: "Medium", low: "Low"};

const SHAPES = {
  critical: "M1 1h14v14h-14z",
  high: "M8 1l7.5 14h-15z",
  medium: "M8 15l7.5-14h-15z",
  low: "M8 1a7 7 0 1 0 .01 0z",
};

// A square, a triangle, one on its head, a circle; filled while active, hollow once it has returned.
export function shape(priority) {
  const path = s("path", {d: SHAPES[priority] ?? SHAPES.low});
  return s("svg", {viewBox: "-1 -1 18 18", width: "18", height: "18", class: `alarm-shape shape-${priority}`, "aria-hidden": "true", focusable: "false"}, path);
}

export function setShape(svg, priority, {hollow = false, blink = false} = {}) {
  svg.setAttribute("class", `alarm-shape shape-${priority}${hollow ? " hollow" : ""}${blink ? " blink" : ""}`);
  svg.firstChild.setAttribute("d", SHAPES[priority] ?? SHAPES.low);
}

export const rank = (alarm) => PRIORITIES.indexOf(alarm.priority);
export const atRest = (alarm) => !(alarm.active || alarm.hidden || alarm.first_out) && alarm.acknowledged && alarm.confirmed;
export const asks = (alarm) => !alarm.hidden && !alarm.acknowledged;

export function stateWords(alarm) {
  const words = {
    unacknowledged: "Active, not acknowledged",
    acknowledged: "Active, acknowledged",
    "returned unacknowledged": "Returned, not acknowledged",
    shelved: alarm.active ? "Shelved, active" : "Shelved",
    "suppressed by design": alarm.active ? "Suppressed, active" : "Suppressed",
    "out of service": alarm.active ? "Out of service, active" : "Out of service",
    normal: "Normal",
  }[alarm.state] ?? alarm.state;
  return alarm.confirmed || !alarm.acknowledged ? words : `${words}, to be confirmed`;
}

export function remarks(alarm, nowMs, standingS = Infinity) {
  const words = [];
  if (alarm.first_out) words.push("First out");
  if (alarm.chattering) words.push("Chattering");
  if (alarm.active && nowMs - alarm.raised_ms > standingS * 1000) words.push("Standing");
  if (alarm.shelved_until_ms) words.push(`${age(alarm.shelved_until_ms - nowMs)} left${alarm.one_shot ? ", or until it returns" : ""}`);
  if (alarm.by && alarm.text) words.push(`${alarm.by}: ${alarm.text}`);
  else if (alarm.by && (alarm.acknowledged || alarm.hidden)) words.push(`by ${alarm.by}`);
  return words.join(" · ");
}

const CONDITIONS = {ll: "below", l: "below", h: "above", hh: "above"};

export function limitWords(alarm) {
  const side = CONDITIONS[alarm.condition];
  if (side && alarm.limit !== null) return `${side} ${number(alarm.limit)} ${alarm.unit}`.trim();
  return alarm.condition === "quality" ? "no usable value" : alarm.limit === null ? "" : "in the state that is the alarm";
}
