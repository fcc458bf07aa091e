// Charts: uPlot with the page's colours, gaps for what is missing, intervals, zoom and values under the pointer.

import uPlot from "./vendor/uPlot.js";
import { h, number, short } from "./dom.js";

/** Colours that are told apart by colour-blind people too (Okabe and Ito), on light and on dark. */
const LIGHT = ["#0072b2", "#b34700", "#00785a", "#a04a7c", "#8a6100", "#4b5563"];
const DARK = ["#56b4e9", "#f0883e", "#2fbf93", "#e29bc4", "#e6b422", "#aab4c2"];
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 5], [1, 4]];

const isDark = () => document.documentElement.dataset.theme === "dark";
export const color = (k) => (isDark() ? DARK : LIGHT)[k % LIGHT.length];

/** An exponential mean; gaps stay gaps. */
export function smooth(values, weight) {
  let mean = null;
  return values.map((value) => {
    if (value === null) return null;
    mean = mean === null ? value : weight * mean + (1 - weight) * value;
    return mean;
  });
}

/**
 * A chart in an element of its own.
 * Lines are {label, x, y, low, high}: numbers or null; `low` and `high` are the ends of an interval.
 */
export class Chart {
  constructor({ label, height = 190, x = "decisions", sync = null, range = null, points = false, onclick = null }) {
    this.element = h("div", { class: "chart", role: "img", "aria-label": label });
    Object.assign(this, { label, height, x, sync, range, points, onclick, plot: null, lines: [], log: false, weight: 0 });
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(this.element);
  }

  set(lines, { log = this.log, weight = this.weight } = {}) {
    const rebuilt = !this.plot || log !== this.log || weight !== this.weight || lines.map((line) => line.label + !!line.low).join() !== this.lines.map((line) => line.label + !!line.low).join();
    Object.assign(this, { lines, log, weight });
    const last = lines.map((line) => `${line.label} ${short(line.y.findLast((value) => value !== null))}`).join(", ");
    this.element.setAttribute("aria-label", `${this.label}: ${last}`);
    if (!this.element.clientWidth) return; // built when there is room
    if (rebuilt) this.build();
    else this.plot.setData(this.data(), !this.zoomed);
  }

  data() {
    const tables = this.lines.map((line) => {
      const columns = [line.x, this.weight ? smooth(line.y, this.weight) : line.y];
      if (this.weight) columns.push(line.y);
      if (line.low) columns.push(line.low, line.high);
      return columns.map((column) => (this.log ? column.map((value, k) => (columns[0] !== column && value !== null && value <= 0 ? null : value)) : column));
    });
    return tables.length ? uPlot.join(tables) : [[]];
  }

  build() {
    const zoom = this.zoomed ? { ...this.plot.scales.x } : null;
    this.destroyPlot();
    const text = getComputedStyle(document.documentElement).getPropertyValue("--muted").trim();
    const grid = getComputedStyle(document.documentElement).getPropertyValue("--grid").trim();
    const series = [{ label: this.x, value: (_, value) => number(value) }], bands = [];
    this.lines.forEach((line, k) => {
      const stroke = color(line.color ?? k), dash = DASHES[(line.color ?? k) % DASHES.length];
      const shown = { value: (_, value) => short(value), spanGaps: true, points: { show: this.points || line.y.length < 2, size: 6 } };
      series.push({ label: line.label, stroke, dash, width: 2, ...shown });
      if (this.weight) series.push({ label: `${line.label} ·`, stroke: `${stroke}55`, width: 1, ...shown, points: { show: false } });
      if (line.low) {
        series.push({ label: `${line.label} ↓`, stroke: `${stroke}66`, width: 1, ...shown, points: { show: false } }, { label: `${line.label} ↑`, stroke: `${stroke}66`, width: 1, ...shown, points: { show: false } });
        bands.push({ series: [series.length - 1, series.length - 2], fill: `${stroke}22` });
      }
    });
    const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "12px system-ui, sans-serif" };
    this.plot = new uPlot({
      width: this.element.clientWidth,
      height: this.height,
      scales: { x: { time: false, range: (_, low, high) => apart(low, high) }, y: this.log ? { distr: 3 } : { range: this.range ?? ((_, low, high) => uPlot.rangeNum(...apart(low, high), 0.1, true)) } },
      axes: [{ ...axis, values: (_, values) => values.map(compact) }, { ...axis, size: 56, values: (_, values) => values.map((value) => (value === null ? "" : compact(value))) }],
      series, bands,
      legend: { live: true },
      cursor: { sync: this.sync ? { key: this.sync, setSeries: false } : undefined, drag: { x: true, y: false }, focus: { prox: 24 } },
      hooks: { setScale: [(plot, key) => key === "x" && this.noteZoom(plot)] },
    }, this.data(), this.element);
    if (zoom) this.plot.setScale("x", { min: zoom.min, max: zoom.max });
    if (this.onclick) this.plot.over.addEventListener("click", () => this.plot.cursor.idx !== null && this.onclick(this.plot.data[0][this.plot.cursor.idx]));
  }

  noteZoom(plot) {
    const xs = plot.data[0];
    if (!xs.length) return;
    const { min, max } = plot.scales.x;
    this.zoomed = min > xs[0] || max < xs.at(-1);
  }

  /** Mark an x, as the position that is on the board. */
  mark(x) {
    if (!this.plot) return;
    const left = this.plot.valToPos(x, "x");
    this.plot.setCursor({ left, top: this.plot.cursor.top > 0 ? this.plot.cursor.top : 4 }, false);
  }

  fit() {
    const width = this.element.clientWidth;
    if (!width || !this.lines.length) return;
    if (!this.plot) this.build();
    else if (Math.abs(this.plot.width - width) > 1) this.plot.setSize({ width, height: this.height });
  }

  repaint() {
    if (this.plot) this.build();
  }

  destroyPlot() {
    this.plot?.destroy();
    this.plot = null;
  }

  destroy() {
    this.observer.disconnect();
    this.destroyPlot();
    this.lines = [];
  }
}

/** The ends of a range, moved apart where there is next to nothing between them. */
function apart(low, high) {
  if (low === null || high === null) return [0, 1];
  const size = Math.max(Math.abs(low), Math.abs(high));
  if (high - low > 1e-6 * size) return [low, high];
  const gap = size ? 0.1 * size : 1;
  return [low - gap, high + gap];
}

function compact(value) {
  const size = Math.abs(value);
  if (size >= 1e6) return `${+(value / 1e6).toPrecision(4)}M`;
  if (size >= 1e4) return `${+(value / 1e3).toPrecision(4)}k`;
  if (size !== 0 && size < 1e-3) return value.toExponential(0);
  return String(+value.toPrecision(5));
}
