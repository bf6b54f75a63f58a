// Trends: any points, recorded and live, with zoom, cursors, the band of lowest and highest, and gaps where nothing was known.

import {download, get} from "../lib/api.js";
import {Chart, look} from "../lib/chart.js";
import {ask, attempt, say} from "../lib/dialogs.js";
import {h, replace, s, text} from "../lib/dom.js";
import {number, qualityWords, stamp, valueWords} from "../lib/format.js";
import {PointSearch} from "../lib/pointsearch.js";
import {TrendGrid} from "../lib/trendgrid.js";
import {TrendSets} from "../lib/trendsets.js";

const MOST = 12;
const RANGES = [[600, "10 minutes"], [1800, "30 minutes"], [3600, "1 hour"], [21600, "6 hours"], [86400, "24 hours"], [604800, "7 days"], [2592000, "30 days"], [31536000, "1 year"]];
const LEAST_MS = 2000;
const LONGEST_MS = 400 * 86400e3;

export async function open(root, context) {
  const page = new TrendPage(root, context);
  await page.begin();
  return () => page.end();
}

// The address: #/trends/POINT,POINT/3600 (the last 3600 s, live) or .../FROM-TO (ms since 1970).
function asked([points = "", time = ""]) {
  const [from, to] = time.split("-").map(Number);
  const names = [...new Set(points.split(",").filter(Boolean))].slice(0, MOST);
  if (to > from) return {names, window: {fromMs: from, toMs: to}};
  return {names, rangeS: from > 0 ? from : 600};
}

class TrendPage {
  constructor(root, {live, path, site}) {
    Object.assign(this, {live, site}, asked(path));
    this.points = [];
    this.latest = new Map();
    this.turn = 0;
    this.cursorMs = null;
    this.markMs = null;
    this._build(root);
    this.chart = new Chart(this.host, {
      axes: matchMedia("(max-width: 760px)").matches ? 2 : 4,
      onzoom: (from, to) => this._zoom(from, to),
      oncursor: (ms) => {
        this.cursorMs = ms;
        this._table();
      },
      onredo: () => this._table(),
    });
  }

  async begin() {
    const found = await this._found(this.names);
    this._ticking = setInterval(() => this._tick(), 250);
    if (!found) return;
    const added = this.points.filter(({name}) => !this.names.includes(name));
    this.points = [...found, ...added];
    await this._changed();
  }

  // The points of these names; undefined when a person has chosen others before they were known.
  async _found(names) {
    const wish = this._wish = (this._wish ?? 0) + 1;
    const found = await Promise.all(names.map((name) => this._find(name)));
    return wish === this._wish ? found.filter(Boolean) : undefined;
  }

  end() {
    this._ended = true;
    clearInterval(this._ticking);
    clearTimeout(this._later);
    this._unwatch?.();
    this.chart.end();
  }

  async _find(name) {
    const found = await attempt(() => get("/api/trends/points", {text: name, limit: 200}));
    return found?.find((point) => point.name === name) ?? {name, unit: "", kind: "analog", description: "no longer a point of this site"};
  }

  // -- the page ------------------------------------------------------------------------------------------------

  _build(root) {
    this.search = new PointSearch({id: "trend", onchoose: (point) => this.add(point), onnone: (words) => text(this.note, `No point has the words ${words}`)});
    this.range = h("select", {id: "trend-range", onchange: () => this._follow(Number(this.range.value))}, RANGES.map(([seconds, words]) => h("option", {value: String(seconds)}, words)), h("option", {value: "", hidden: true}, "own"));
    this.sets = new TrendSets((kept) => this._openSet(kept));
    const button = (words, label, act) => h("button", {type: "button", "aria-label": label, title: label, onclick: act}, words);
    this.liveButton = button("Live", "Follow what comes in", () => this._follow(this.rangeS ?? 600));
    this.host = h("div", {class: "chart"});
    this.place = h("div", {class: "chart-place", tabindex: "0", role: "group", "aria-label": "Chart", "aria-describedby": "trend-help", onkeydown: (event) => this._key(event)}, this.host);
    this.note = h("p", {class: "note", role: "status"});
    this.body = h("tbody", {});
    this.when = h("th", {class: "num"}, "At the cursor");
    this.whenMark = h("th", {class: "num phone-off"}, "At the mark");
    const table = h("table", {}, h("caption", {class: "visually-hidden"}, "Values of the points in the chart"), h("thead", {}, h("tr", {}, h("th", {}, "Point"), h("th", {class: "num"}, "Now"), this.when, h("th", {class: "num phone-off"}, "Lowest to highest"), this.whenMark, h("th", {class: "num phone-off"}, "Difference"), h("th", {class: "phone-off"}, "Quality"), h("th", {}, h("span", {class: "visually-hidden"}, "Remove")))), this.body);
    root.append(h("h1", {}, "Trends"),
      h("div", {class: "toolbar"},
        h("div", {class: "field"}, h("label", {for: "trend-search"}, "Point"), h("div", {class: "search"}, this.search.input, this.search.list)),
        h("div", {class: "field"}, h("label", {for: "trend-range"}, "Time"), this.range),
        h("div", {class: "buttons"}, button("◀", "Earlier", () => this._pan(-0.25)), button("▶", "Later", () => this._pan(0.25)), button("+", "Zoom in", () => this._scale(0.5)), button("−", "Zoom out", () => this._scale(2)), this.liveButton),
        h("div", {class: "field"}, h("label", {for: "trend-sets"}, "Saved sets"), this.sets.select),
        h("div", {class: "buttons"}, h("button", {type: "button", onclick: () => this._saveSet()}, "Save set…"), h("button", {type: "button", onclick: () => this.sets.drop()}, "Delete set"), h("button", {type: "button", onclick: () => this._export()}, "Export CSV"))),
      this.note, this.place,
      h("div", {class: "values"}, table),
      h("p", {id: "trend-help", class: "help"}, "Drag in the chart or turn the wheel to zoom. With the chart chosen: ← → move in time, + and − zoom, Shift with ← → moves the cursor, M sets a mark, Home follows live. A line with a gap: nothing could be known there; a bar at the bottom: the value could not be used for a part of that time. The band is from the lowest to the highest value. The address of this page can be passed on."));
  }

  // -- points --------------------------------------------------------------------------------------------------

  add(point) {
    if (this.points.some(({name}) => name === point.name)) return;
    if (this.points.length >= MOST) {
      say(`${MOST} points are shown at most: remove one first.`, "problem");
      return;
    }
    this.points.push(point);
    this._changed();
  }

  remove(name) {
    this.points = this.points.filter((point) => point.name !== name);
    this._changed();
  }

  async _changed() {
    const names = this.points.map(({name}) => name);
    this._unwatch?.();
    this._unwatch = this.live.watch(names, (changed) => this._heard(changed));
    this._rows();
    await attempt(() => this.chart.show(this.points));
    await this._load();
  }

  // -- time ----------------------------------------------------------------------------------------------------

  get following() {
    return !this.window;
  }

  _span() {
    const now = this.live.now();
    return this.window ?? {fromMs: now - this.rangeS * 1000, toMs: now};
  }

  _follow(seconds) {
    this.rangeS = seconds;
    this.window = null;
    this._load();
  }

  _zoom(from, to) {
    const now = this.live.now();
    const middle = (from + to) / 2;
    const half = Math.min(Math.max(to - from, LEAST_MS), LONGEST_MS) / 2;
    this.window = {fromMs: Math.max(0, middle - half), toMs: Math.min(middle + half, now + half / 4)};
    this.rangeS ??= 600;
    this.chart.view(this.window.fromMs, this.window.toMs);
    this._address();
    clearTimeout(this._later);
    this._later = setTimeout(() => this._load(), 250);
  }

  _pan(part) {
    const {fromMs, toMs} = this._span();
    const by = (toMs - fromMs) * part;
    this._zoom(fromMs + by, toMs + by);
  }

  _scale(factor) {
    const {fromMs, toMs} = this._span();
    const middle = this.cursorMs ?? (fromMs + toMs) / 2;
    this._zoom(middle - (middle - fromMs) * factor, middle + (toMs - middle) * factor);
  }

  _key(event) {
    const acts = {
      ArrowLeft: () => (event.shiftKey ? this._step(-1) : this._pan(-0.2)), ArrowRight: () => (event.shiftKey ? this._step(1) : this._pan(0.2)),
      "+": () => this._scale(0.5), "=": () => this._scale(0.5), "-": () => this._scale(2), Home: () => this._follow(this.rangeS ?? 600),
      m: () => this._mark(this.cursorMs), Escape: () => this._mark(null),
    };
    const act = acts[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  }

  _step(by) {
    if (!this.grid) return;
    const {fromMs, toMs} = this._span();
    const at = this.cursorMs ?? (by > 0 ? fromMs : toMs);
    this.chart.cursor(Math.min(toMs, Math.max(fromMs, at + by * this.grid.stepMs)));
  }

  _mark(ms) {
    this.markMs = ms;
    this.chart.mark(ms);
    this._table();
  }

  // -- values --------------------------------------------------------------------------------------------------

  async _load() {
    clearTimeout(this._later);
    const turn = (this.turn += 1);
    this._address();
    const {fromMs, toMs} = this._span();
    const count = Math.max(100, Math.min(1000, Math.round(this.host.clientWidth) || 600));
    const names = this.points.map(({name}) => name);
    const until = Math.min(toMs, this.live.now());
    const step = (toMs - fromMs) / count;
    const pieces = Math.max(10, Math.ceil((until - fromMs) / step));
    let answer = null;
    if (names.length && until > fromMs) {
      text(this.note, "Reading…");
      answer = await get("/api/trends", {points: names.join(","), start_ms: fromMs, end_ms: fromMs + pieces * step, count: pieces}).catch((error) => ({series: [], note: error.message, failed: true}));
      if (turn !== this.turn || this._ended) return;
    }
    const kept = !answer?.history && this.grid?.startMs !== undefined && this.following ? this.grid : null;
    const grid = new TrendGrid(fromMs, step, 1, names);
    if (answer?.history) {
      for (const series of answer.series) if (series.mean.length) grid.load(series.point, series, until);
      grid.count = pieces;
    }
    // Without a history what was heard on this page is all there is.
    for (const name of names) for (const [ms, value, quality] of this._heardSince(name, answer?.history ? until - 3000 : fromMs)) grid.take(name, ms, value, quality);
    if (kept && !answer?.history) grid.count = Math.max(grid.count, 1);
    this.grid = grid;
    text(this.note, [answer?.note, ...(answer?.series ?? []).filter(({note}) => note).map(({point, note}) => `${point}: ${note}`)].filter(Boolean).join("\n") || (names.length ? "" : "Add a point to begin."));
    this.loadedFor = {fromMs, toMs, step};
    this._tick(true);
  }

  // What was heard of a point on this page, bounded.
  _heardSince(name, fromMs) {
    const all = this.latest.get(name) ?? [];
    const first = all.findIndex(([ms]) => ms >= fromMs);
    if (first < 0) return all.slice(-1);
    return all.slice(Math.max(0, first - 1));
  }

  _heard(changed) {
    for (const {name} of this.points) {
      if (!changed.has(name)) continue;
      const known = this.live.values.get(name);
      if (!known || known.quality & 8) continue;
      const all = this.latest.get(name) ?? [];
      const last = all.at(-1);
      if (last && last[0] === known.timeMs && last[1] === known.value && last[2] === known.quality) continue;
      all.push([known.timeMs, known.value, known.quality]);
      if (all.length > 20000) all.splice(0, 5000);
      this.latest.set(name, all);
      this.grid?.take(name, known.timeMs, known.value, known.quality);
    }
    this._table();
  }

  _tick(at_once = false) {
    if (!this.grid || this._ended || (document.hidden && !at_once)) return;
    const now = this.live.now();
    const {fromMs, toMs} = this._span();
    const reaches = this.following || now < toMs;
    if (!reaches && !at_once) return;
    const every = Math.min(5000, Math.max(250, this.grid.stepMs / 2));
    if (!at_once && now - (this.drawnMs ?? 0) < every) return;
    this.drawnMs = now;
    this.grid.advance(Math.min(now, Math.max(toMs, this.grid.endMs)));
    if (this.following && this.grid.count > 1.5 * ((toMs - fromMs) / this.grid.stepMs)) this.grid.trim(fromMs - 2 * this.grid.stepMs);
    this.chart.draw(this.grid, fromMs, toMs);
    this._table();
  }

  // -- the table -----------------------------------------------------------------------------------------------

  _rows() {
    this.cells = this.points.map((point, place) => {
      const {colour, dash} = look(place);
      const cells = {now: h("td", {class: "num"}), at: h("td", {class: "num"}), band: h("td", {class: "num phone-off"}), mark: h("td", {class: "num phone-off"}), difference: h("td", {class: "num phone-off"}), quality: h("td", {class: "phone-off"})};
      const line = s("svg", {width: "28", height: "10", viewBox: "0 0 28 10", "aria-hidden": "true"}, s("line", {x1: "0", y1: "5", x2: "28", y2: "5", stroke: colour, "stroke-width": "3", "stroke-dasharray": dash.join(" ") || undefined}));
      const row = h("tr", {}, h("th", {scope: "row"}, line, " ", h("a", {href: `#/points/${encodeURIComponent(point.name)}`}, point.name), point.unit ? ` ${point.unit}` : "", h("small", {}, point.description)),
        Object.values(cells), h("td", {}, h("button", {type: "button", "aria-label": `Remove ${point.name}`, onclick: () => this.remove(point.name)}, "×")));
      return {point, row, ...cells};
    });
    replace(this.body, this.cells.map(({row}) => row));
  }

  _value(point, value) {
    if (value === null || value === undefined) return "–";
    return ["binary", "double", "control"].includes(point.kind) && Number.isInteger(value) ? valueWords({kind: point.kind, value, quality: 0}) : number(value);
  }

  _table() {
    if (!this.grid || !this.cells) return;
    text(this.when, this.cursorMs === null ? "At the cursor" : stamp(this.cursorMs));
    text(this.whenMark, this.markMs === null ? "At the mark" : stamp(this.markMs));
    const inside = (ms) => ms !== null && ms >= this.grid.startMs && ms < this.grid.endMs;
    for (const {point, now, at, band, mark, difference, quality} of this.cells) {
      if (!this.grid.series.has(point.name)) continue;
      const known = this.live.values.get(point.name);
      text(now, valueWords(known));
      const i = inside(this.cursorMs) ? this.grid.index(this.cursorMs) : -1;
      const j = inside(this.markMs) ? this.grid.index(this.markMs) : -1;
      const series = this.grid.series.get(point.name);
      const here = i < 0 ? null : this.grid.mean(point.name, i);
      const there = j < 0 ? null : this.grid.mean(point.name, j);
      text(at, i < 0 ? "" : this._value(point, here));
      text(band, i < 0 || series.low[i] === null ? "" : `${this._value(point, series.low[i])} to ${this._value(point, series.high[i])}`);
      text(mark, j < 0 ? "" : this._value(point, there));
      text(difference, here === null || there === null ? "" : number(here - there).replace(/^-0$/, "0"));
      text(quality, qualityWords(i < 0 ? known?.quality ?? 8 : series.quality[i]));
    }
    this.liveButton.setAttribute("aria-pressed", String(this.following));
    this.range.value = this.following ? String(this.rangeS) : "";
  }

  // -- to keep and to pass on ----------------------------------------------------------------------------------

  _address() {
    const time = this.window ? `${Math.round(this.window.fromMs)}-${Math.round(this.window.toMs)}` : String(this.rangeS);
    history.replaceState(null, "", `#/trends/${encodeURIComponent(this.points.map(({name}) => name).join(","))}/${time}`);
  }

  async _openSet(kept) {
    const found = await this._found(kept.names.slice(0, MOST));
    if (!found) return;
    this.window = null;
    this.rangeS = kept.rangeS;
    this.points = found;
    await this._changed();
  }

  async _saveSet() {
    const answer = await ask({title: "Save these points", body: "Kept in this browser.", fields: [{name: "name", label: "Name", required: true, value: this.sets.chosen}], confirm: "Save"});
    if (!answer) return;
    this.sets.keep(answer.name, {names: this.points.map(({name}) => name), rangeS: this.rangeS ?? 600});
  }

  async _export() {
    const names = this.points.map(({name}) => name);
    if (!names.length) return;
    const {fromMs, toMs} = this._span();
    if (this.site.history) {
      await attempt(() => download("/api/trends/file", {points: names.join(","), start_ms: fromMs, end_ms: Math.min(toMs, this.live.now())}), "Samples as recorded; where there are more than 100,000, means of 2,000 equal pieces: the file's name says which.");
    } else {
      this._save(["time,point,value,quality", ...names.flatMap((name) => (this.latest.get(name) ?? []).filter(([ms]) => ms >= fromMs && ms <= toMs).map(([ms, value, quality]) => `${new Date(ms).toISOString()},${name},${value},"${qualityWords(quality)}"`))].join("\r\n"));
    }
  }

  _save(words) {
    const url = URL.createObjectURL(new Blob([words], {type: "text/csv"}));
    h("a", {href: url, download: "trend-seen-here.csv"}).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }
}
