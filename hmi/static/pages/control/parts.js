// Small things that the panels of the control page share.

import {h, s, text, toggle} from "../../lib/dom.js";
import {number, qualityClass, qualityWords, usable, withUnit} from "../../lib/format.js";

export const value = (live, name) => {
  const known = live.values.get(name);
  return known && usable(known.quality) ? known.value : undefined;
};

export const kw = (amount) => (Number.isFinite(amount) ? `${number(Math.abs(amount) < 0.005 ? 0 : amount)} kW` : "–");

// A list of facts that follow points: rows of [label, names, words(live), title?]. Returns a <dl>.
export function liveList(board, rows) {
  const lines = rows.filter(Boolean).map(([label, names, words]) => ({names, words, label, cell: h("dd", {}, "–")}));
  const draw = () => {
    for (const line of lines) {
      text(line.cell, line.words());
      const known = line.names.length === 1 ? board.live.values.get(line.names[0]) : undefined;
      line.cell.className = known ? qualityClass(known.quality) : "";
      line.cell.title = known?.quality ? qualityWords(known.quality) : "";
    }
  };
  board.points(lines.flatMap((line) => line.names), draw);
  board.onstate(draw);
  return h("dl", {class: "facts"}, lines.map((line) => h("div", {}, h("dt", {}, line.label), line.cell)));
}

// A row that shows one point with its unit.
export const pointRow = (board, label, name) => (name ? [label, [name], () => withUnit(board.live.values.get(name))] : null);

export function left(untilNs, nowMs) {
  if (!untilNs) return "until another comes";
  const seconds = Math.max(0, untilNs / 1e6 - nowMs) / 1000;
  return seconds >= 90 ? `${Math.ceil(seconds / 60)} min left` : `${Math.ceil(seconds)} s left`;
}

// A plot's frame: axes with ticks and words. x and y map values to the picture.
export function frame({width, height, xs, ys, xWords, yWords, label}) {
  const [left, right, top, bottom] = [46, 12, 10, 30];
  const x = (at) => left + ((at - xs[0]) / (xs[1] - xs[0])) * (width - left - right);
  const y = (at) => height - bottom - ((at - ys[0]) / (ys[1] - ys[0])) * (height - top - bottom);
  const svg = s("svg", {viewBox: `0 0 ${width} ${height}`, class: "plot", role: "img", "aria-label": label});
  for (const at of xWords) {
    svg.append(s("line", {x1: x(at.at), x2: x(at.at), y1: top, y2: height - bottom, class: "grid-line"}),
      s("text", {x: x(at.at), y: height - bottom + 14, "text-anchor": "middle"}, at.words));
  }
  for (const at of yWords) {
    svg.append(s("line", {x1: left, x2: width - right, y1: y(at.at), y2: y(at.at), class: "grid-line"}),
      s("text", {x: left - 5, y: y(at.at) + 4, "text-anchor": "end"}, at.words));
  }
  return {svg, x, y, inner: {left, right: width - right, top, bottom: height - bottom}};
}

// About `count` round steps over a range.
export function ticks(low, high, count = 5) {
  const rough = (high - low) / count || 1;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * size).find((each) => each >= rough) ?? rough;
  const out = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) out.push(Math.abs(at) < step / 1e6 ? 0 : at);
  return out;
}

export {toggle};
