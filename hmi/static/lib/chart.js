// uPlot in the house's manner: a mean with its band of lowest and highest, an axis for each unit, gaps left open.

import {h} from "./dom.js";

const LIGHT = ["#0b5fa5", "#a34700", "#1b7a3d", "#8a2c8a", "#6b5a00", "#b0003a"];
const DARK = ["#7fbfff", "#ffb066", "#7fd99a", "#e0a0e8", "#d9d97a", "#ff8fa8"];
const DASHES = [[], [8, 4]];
const LANE_PX = 3;

let loading = null;

function library() {
  loading ??= new Promise((resolve, reject) => {
    const style = h("link", {rel: "stylesheet", href: new URL("../vendor/uplot/uPlot.min.css", import.meta.url).href});
    const script = h("script", {src: new URL("../vendor/uplot/uPlot.iife.min.js", import.meta.url).href});
    script.addEventListener("load", () => resolve(window.uPlot));
    script.addEventListener("error", () => reject(new Error("the chart's library cannot be loaded")));
    document.head.append(style, script);
  });
  return loading;
}

const dark = matchMedia("(prefers-color-scheme: dark)");

// How the line of the point at this place looks.
export function look(place) {
  const colours = dark.matches ? DARK : LIGHT;
  return {colour: colours[place % colours.length], dash: DASHES[Math.floor(place / colours.length) % DASHES.length]};
}

// States are drawn as steps without an axis: the table has their words.
const steps = ({kind}) => kind === "binary" || kind === "double" || kind === "control";

const pad = (value) => String(value).padStart(2, "0");

function times(chart, splits, axis, space, incr) {
  let day = "";
  return splits.map((second) => {
    const at = new Date(second * 1000);
    const date = `${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
    const clock = `${pad(at.getHours())}:${pad(at.getMinutes())}${incr < 60 ? `:${pad(at.getSeconds())}` : ""}`;
    const fresh = date !== day;
    day = date;
    if (incr >= 86400) return incr >= 86400 * 28 ? `${at.getFullYear()}-${date}` : date;
    return fresh ? `${clock}\n${date}` : clock;
  });
}

export class Chart {
  // points: [{name, unit, kind}]; options: axes (how many at most), onzoom(fromMs, toMs), oncursor(ms or null), onredo() when colours differ
  constructor(host, {axes = 4, onzoom = () => {}, oncursor = () => {}, onredo = () => {}} = {}) {
    Object.assign(this, {host, axes, onzoom, oncursor});
    this.points = [];
    this.uplot = null;
    this.markMs = null;
    this._onscheme = () => {
      this._make();
      onredo();
    };
    dark.addEventListener("change", this._onscheme);
    this._watch = new ResizeObserver(() => this.uplot?.setSize(this._size()));
    this._watch.observe(host);
  }

  async show(points) {
    this._uPlot ??= await library();
    this.points = points;
    this._make();
  }

  // Draw this grid from `fromMs` to `toMs`.
  draw(grid, fromMs, toMs) {
    this.grid = grid;
    if (!this.uplot) return;
    this.uplot.setData(grid.columns(this.points.map(({name}) => name)), false);
    this.view(fromMs, toMs);
  }

  view(fromMs, toMs) {
    this.fromMs = fromMs;
    this.toMs = toMs;
    this.uplot?.batch(() => {
      this.uplot.setScale("x", {min: fromMs / 1000, max: toMs / 1000});
    });
  }

  // The cursor to this time; null: away.
  cursor(ms) {
    if (!this.uplot) return;
    const left = ms === null ? -10 : this.uplot.valToPos(ms / 1000, "x");
    this.uplot.setCursor({left, top: ms === null ? -10 : this.uplot.over.clientHeight / 2});
  }

  mark(ms) {
    this.markMs = ms;
    this.uplot?.redraw(false);
  }

  end() {
    dark.removeEventListener("change", this._onscheme);
    this._watch.disconnect();
    this.uplot?.destroy();
  }

  _size() {
    return {width: Math.max(200, this.host.clientWidth), height: Math.max(160, this.host.clientHeight)};
  }

  _make() {
    if (!this._uPlot) return;
    this.uplot?.destroy();
    this.uplot = new this._uPlot(this._options(), [[], ...this.points.flatMap(() => [[], [], []])], this.host);
    this.host.uplot = this.uplot;
    this.uplot.over.addEventListener("wheel", (event) => this._wheel(event), {passive: false});
    if (this.grid) this.draw(this.grid, this.fromMs, this.toMs);
  }

  _options() {
    const style = getComputedStyle(this.host);
    const ink = style.color;
    const lines = {stroke: style.getPropertyValue("--line").trim() || ink, width: 1};
    const units = [...new Set(this.points.filter((point) => !steps(point)).map(({unit}) => unit))];
    const grid = {...lines, stroke: `color-mix(in srgb, ${lines.stroke} 45%, transparent)`};
    const axes = units.slice(0, this.axes).map((unit, place) => ({
      scale: `unit ${unit}`, side: place % 2 ? 1 : 3, stroke: ink, label: unit || undefined, labelSize: 18, labelGap: 0, size: 58,
      grid: place ? {show: false} : grid, ticks: lines, font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif",
    }));
    const series = this.points.flatMap(({name, unit, kind}, place) => {
      const {colour, dash} = look(place);
      const scale = steps({kind}) ? "states" : `unit ${unit}`;
      const paths = steps({kind}) ? this._uPlot.paths.stepped({align: 1}) : undefined;
      const edge = {scale, stroke: "transparent", width: 1, points: {show: false}, paths};
      return [{...edge, label: `${name} low`}, {...edge, label: `${name} high`}, {scale, label: name, stroke: colour, width: 1.6, dash, paths, points: {show: this._alone}}];
    });
    return {
      ...this._size(),
      legend: {show: false},
      pxAlign: 0,
      scales: {x: {time: true}, states: {range: [-0.5, 3.5]}, ...Object.fromEntries(units.map((unit) => [`unit ${unit}`, {auto: true, range: around}]))},
      axes: [{stroke: ink, grid, ticks: lines, values: times, font: "12px system-ui, sans-serif", size: 44}, ...axes],
      series: [{}, ...series],
      bands: this.points.map((_, place) => ({series: [3 * place + 2, 3 * place + 1], fill: `${look(place).colour}33`})),
      cursor: {drag: {x: true, y: false, setScale: false}, points: {show: (chart, at) => (at % 3 ? null : this._dot(at))}},
      hooks: {
        setSelect: [(chart) => {
          const {left, width} = chart.select;
          if (width > 3) this.onzoom(chart.posToVal(left, "x") * 1000, chart.posToVal(left + width, "x") * 1000);
          if (width) chart.setSelect({left: 0, width: 0, top: 0, height: 0}, false);
        }],
        setCursor: [(chart) => this.oncursor(chart.cursor.left >= 0 && chart.cursor.idx !== null ? chart.posToVal(chart.cursor.left, "x") * 1000 : null)],
        draw: [(chart) => this._drawn(chart)],
      },
    };
  }

  // A single known value between two gaps would not be seen as a line.
  _alone(chart, at, from, to) {
    return to - from < 3;
  }

  _dot(at) {
    return h("div", {class: "trend-dot", style: {background: look(at / 3 - 1).colour}});
  }

  // Where a value could not be used for a part of the time, a bar at the bottom; and the mark.
  _drawn(chart) {
    const {ctx, bbox} = chart;
    const ratio = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    if (this.grid) {
      const last = this.grid.index(this.toMs);
      this.points.forEach(({name}, place) => {
        if (!this.grid.series.has(name)) return;
        ctx.fillStyle = look(place).colour;
        const series = this.grid.series.get(name);
        const top = bbox.top + bbox.height - (place + 1) * LANE_PX * ratio;
        const first = series.time.findIndex((ms) => ms > 0); // before it nothing was recorded
        for (let i = Math.max(first < 0 ? Infinity : first, this.grid.index(this.fromMs)); i <= last; i += 1) {
          const from = this.grid.startMs + i * this.grid.stepMs;
          if (from >= series.atMs || !series.atMs || this.grid.known(name, i) > 0.995) continue;
          const left = chart.valToPos(from / 1000, "x", true);
          ctx.fillRect(left, top, Math.max(ratio, chart.valToPos((from + this.grid.stepMs) / 1000, "x", true) - left), (LANE_PX - 1) * ratio);
        }
      });
    }
    if (this.markMs !== null) {
      const at = chart.valToPos(this.markMs / 1000, "x", true);
      ctx.strokeStyle = getComputedStyle(this.host).color;
      ctx.lineWidth = 1.5 * ratio;
      ctx.beginPath();
      ctx.moveTo(at, bbox.top);
      ctx.lineTo(at, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }

  _wheel(event) {
    event.preventDefault();
    const at = this.uplot.posToVal(event.offsetX, "x") * 1000;
    const factor = event.deltaY > 0 ? 1.25 : 0.8;
    this.onzoom(at - (at - this.fromMs) * factor, at + (this.toMs - at) * factor);
  }
}

// A little room above and below; a value that stands still lies in the middle.
function around(chart, low, high) {
  if (low === null || high === null || !Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
  const size = Math.max(Math.abs(low), Math.abs(high));
  const room = high - low > size * 2e-4 ? (high - low) * 0.06 : size * 1e-3 || 1;
  return [low - room, high + room];
}
