// Values of several points in equal pieces of time: what was recorded, and what comes in live after it.
// A value stands until the next one; a mean is over the time in which the value could be used.

import {usable} from "./format.js";

class Series {
  constructor(count) {
    this.sum = new Array(count).fill(0); // value times ms
    this.time = new Array(count).fill(0); // ms in which it could be used
    this.low = new Array(count).fill(null);
    this.high = new Array(count).fill(null);
    this.quality = new Array(count).fill(0);
    this.atMs = 0; // accounted for until then; 0: nothing is known yet
    this.value = 0;
    this.flags = 8;
  }
}

export class TrendGrid {
  constructor(startMs, stepMs, count, names) {
    this.startMs = startMs;
    this.stepMs = stepMs;
    this.count = count;
    this.series = new Map(names.map((name) => [name, new Series(count)]));
  }

  get endMs() {
    return this.startMs + this.stepMs * this.count;
  }

  // What the API answered for these very pieces of time; what it says of the time after `untilMs` is not known yet.
  load(name, {mean, low, high, known, quality}, untilMs) {
    const series = this.series.get(name);
    for (let i = 0; i < mean.length; i += 1) {
      const part = known.length ? known[i] : mean[i] === null ? 0 : 1;
      series.time[i] = Math.min(part * this.stepMs, Math.max(0, untilMs - this.startMs - i * this.stepMs));
      series.sum[i] = mean[i] === null ? 0 : mean[i] * series.time[i];
      series.low[i] = low[i];
      series.high[i] = high[i];
      series.quality[i] = quality.length ? quality[i] : 0;
    }
    series.atMs = Math.min(untilMs, this.startMs + this.stepMs * mean.length);
  }

  // A value that came in; what stood before it stood until `timeMs`.
  take(name, timeMs, value, flags) {
    const series = this.series.get(name);
    if (!series || flags & 8) return;
    const at = series.atMs ? Math.max(timeMs, series.atMs) : Math.max(timeMs, this.startMs);
    if (series.atMs) this._stand(series, at);
    series.atMs = at;
    series.value = value;
    series.flags = flags;
    series.live = true;
    this._touch(series, Math.floor((at - this.startMs) / this.stepMs));
  }

  // Time goes on: what stands now has stood until `nowMs`.
  advance(nowMs) {
    const count = Math.ceil((nowMs - this.startMs) / this.stepMs);
    for (const series of this.series.values()) {
      this._grow(series, count);
      if (series.live && nowMs > series.atMs) this._stand(series, nowMs);
    }
    this.count = Math.max(this.count, count);
  }

  // What lies before `fromMs` is no longer shown.
  trim(fromMs) {
    const gone = Math.min(this.count - 1, Math.floor((fromMs - this.startMs) / this.stepMs));
    if (gone < 1) return;
    for (const series of this.series.values()) {
      for (const key of ["sum", "time", "low", "high", "quality"]) series[key].splice(0, gone);
    }
    this.startMs += gone * this.stepMs;
    this.count -= gone;
  }

  _grow(series, count) {
    for (let i = series.sum.length; i < count; i += 1) {
      series.sum.push(0);
      series.time.push(0);
      series.low.push(null);
      series.high.push(null);
      series.quality.push(0);
    }
  }

  _stand(series, untilMs) {
    let at = series.atMs;
    while (at < untilMs) {
      const i = Math.floor((at - this.startMs) / this.stepMs + 1e-9);
      const next = Math.min(untilMs, this.startMs + (i + 1) * this.stepMs);
      if (i >= 0 && next > at) {
        this._touch(series, i);
        if (usable(series.flags)) {
          series.time[i] += next - at;
          series.sum[i] += series.value * (next - at);
        }
      }
      at = next > at ? next : untilMs;
    }
    series.atMs = untilMs;
  }

  _touch(series, i) {
    if (i < 0) return;
    this._grow(series, i + 1);
    this.count = Math.max(this.count, i + 1);
    series.quality[i] |= series.flags;
    if (!usable(series.flags) || !Number.isFinite(series.value)) return;
    series.low[i] = series.low[i] === null ? series.value : Math.min(series.low[i], series.value);
    series.high[i] = series.high[i] === null ? series.value : Math.max(series.high[i], series.value);
  }

  mean(name, i) {
    return mean(this.series.get(name), i);
  }

  known(name, i) {
    const {atMs, time} = this.series.get(name);
    const length = Math.min(this.stepMs, Math.max(1, atMs - this.startMs - i * this.stepMs));
    return Math.min(1, time[i] / length);
  }

  // Columns for uPlot: x in s, then low, high and mean of each point; null where nothing is known.
  columns(names) {
    const x = Array.from({length: this.count}, (_, i) => (this.startMs + (i + 0.5) * this.stepMs) / 1000);
    const out = [x];
    for (const name of names) {
      const series = this.series.get(name) ?? new Series(this.count); // one that has just been added
      this._grow(series, this.count);
      out.push(series.low.slice(0, this.count), series.high.slice(0, this.count), x.map((_, i) => mean(series, i)));
    }
    return out;
  }

  index(ms) {
    return Math.max(0, Math.min(this.count - 1, Math.floor((ms - this.startMs) / this.stepMs)));
  }
}

function mean(series, i) {
  return series.time[i] > 0 ? series.sum[i] / series.time[i] : series.low[i] ?? null;
}
