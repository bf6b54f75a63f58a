// A small trend: the band of low and high, the mean, gaps where nothing was known, and what comes live.

import {h, replace, s} from "./dom.js";
import {number, stamp} from "./format.js";

const WIDTH = 360;
const HEIGHT = 90;

export class Spark {
  constructor(minutes) {
    this._spanMs = minutes * 60_000;
    this._old = {start_ms: [], low: [], high: [], mean: [], known: []};
    this._fresh = []; // [timeMs, value or null]
    this._band = s("path", {class: "band"});
    this._line = s("path", {class: "line", fill: "none"});
    this._plot = s("svg", {class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": "Trend of the last hour"},
      this._band, this._line);
    this._high = h("span", {class: "num"});
    this._low = h("span", {class: "num"});
    this._times = h("div", {class: "spark-times"});
    this.element = h("figure", {class: "spark-figure"}, h("div", {class: "spark-scale", "aria-hidden": "true"}, this._high, this._low), this._plot, this._times);
  }

  show(trend) {
    this._old = trend;
  }

  // A live value; null: it cannot be used.
  add(timeMs, value) {
    const last = this._fresh[this._fresh.length - 1];
    if (last && last[0] === timeMs && last[1] === value) return;
    this._fresh.push([timeMs, value]);
    if (this._fresh.length > 4000) this._fresh.splice(0, 1000);
  }

  draw(nowMs) {
    const from = nowMs - this._spanMs;
    const points = this._points(from, nowMs);
    const values = points.flatMap(([, low, high]) => (low === null ? [] : [low, high]));
    if (!values.length) {
      this._band.setAttribute("d", "");
      this._line.setAttribute("d", "");
      replace(this._times, "Nothing is known of the last hour");
      return;
    }
    let low = Math.min(...values);
    let high = Math.max(...values);
    const pad = (high - low || Math.abs(high) * 0.02 || 1) * 0.06;
    replace(this._high, number(high));
    replace(this._low, number(low));
    low -= pad;
    high += pad;
    const x = (ms) => (((ms - from) / this._spanMs) * WIDTH).toFixed(1);
    const y = (value) => (HEIGHT - ((value - low) / (high - low)) * HEIGHT).toFixed(1);
    let line = "";
    let band = "";
    let pen = false;
    for (let i = 0; i < points.length; i += 1) {
      const [at, least, most, mean] = points[i];
      const to = points[i + 1]?.[0] ?? nowMs;
      if (mean === null) {
        pen = false;
        continue;
      }
      line += `${pen ? "L" : "M"}${x(at)} ${y(mean)}L${x(to)} ${y(mean)}`;
      if (most > least) band += `M${x(at)} ${y(most)}H${x(to)}V${y(least)}H${x(at)}Z`;
      pen = true;
    }
    this._line.setAttribute("d", line);
    this._band.setAttribute("d", band);
    replace(this._times, h("span", {}, stamp(from, {date: false}).slice(0, 5)), h("span", {}, stamp(nowMs, {date: false}).slice(0, 5)));
  }

  // [time, low, high, mean], null where it was not known; what is live goes before what was recorded.
  _points(from, nowMs) {
    const freshFrom = this._fresh.length ? this._fresh[0][0] : Infinity;
    const {start_ms: start, low, high, mean, known} = this._old;
    const points = [];
    for (let i = 0; i < start.length; i += 1) {
      if (start[i] < from || start[i] >= freshFrom) continue;
      points.push(known[i] > 0 ? [start[i], low[i], high[i], mean[i]] : [start[i], null, null, null]);
    }
    for (const [at, value] of this._fresh) {
      if (at <= nowMs) points.push([Math.max(at, from), value, value, value]);
    }
    return points.slice(-6000);
  }
}
