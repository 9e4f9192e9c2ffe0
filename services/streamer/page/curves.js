// The curves, drawn by plotly: one small chart for each quantity, all over the iteration.

import { NOTHING, amount, percent } from "./format.js";

const DRAW_EVERY_MS = 800;
const CHARTS = [
  { column: "progress_pct", title: "Progress", unit: " %", range: [0, 104], format: percent },
  // What the console drew: below 20 % a model has not learned to lap, from 40 % on it does.
  { column: "completion_pct", title: "Laps completed", unit: " %", range: [0, 104], format: percent, lines: [20, 40] },
  { column: "reward", title: "Reward", unit: "" },
  { column: "lap_s", title: "Lap time", unit: " s" },
  { column: "entropy", title: "Entropy", unit: "" },
  { column: "value_loss", title: "Value loss", unit: "" },
  { column: "policy_loss", title: "Policy loss", unit: "" },
  { column: "kl_divergence", title: "KL divergence", unit: "" },
];

export class Curves {
  #section;
  #columns = [];
  #rows = [];
  #evaluations = [];
  #charts;
  #timer = null;
  #drawnAtMs = -Infinity;

  constructor(section) {
    this.#section = section;
    this.#charts = CHARTS.map((chart) => ({ ...chart, ...figureFor(chart, section) }));
    const redraw = () => this.#schedule();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    document.addEventListener("visibilitychange", redraw);
    document.addEventListener("DOMContentLoaded", redraw);
    new ResizeObserver(redraw).observe(section); // also when the page unhides it
  }

  clear() {
    this.#rows = [];
    this.#evaluations = [];
    this.#schedule();
  }

  /** Replace everything from row `start` on: a message that comes twice changes nothing. */
  setRows({ columns, start, rows }) {
    this.#columns = columns;
    this.#rows.splice(start, Infinity, ...rows);
    this.#schedule();
  }

  setEvaluations(evaluations) {
    const isKnown = evaluations.length === this.#evaluations.length
      && evaluations.at(-1)?.checkpoint === this.#evaluations.at(-1)?.checkpoint;
    if (isKnown) return;
    this.#evaluations = evaluations;
    this.#schedule();
  }

  // Drawing costs more than a message: at most so often, and not for nobody.
  #schedule() {
    const isSeen = !document.hidden && this.#section.clientWidth > 0 && window.Plotly;
    if (this.#timer !== null || !isSeen) return;
    const wait = Math.max(this.#drawnAtMs + DRAW_EVERY_MS - performance.now(), 0);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#drawnAtMs = performance.now();
      this.#draw();
    }, wait);
  }

  #draw() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const iterations = this.#column("iteration");
    for (const chart of this.#charts) {
      const values = this.#column(chart.column);
      const newest = values.findLast((value) => value !== null && value !== undefined);
      chart.newest.textContent = newest === undefined ? NOTHING : (chart.format ?? amount)(newest) + chart.unit;
      const traces = [curveOf(chart, iterations, values, colour)];
      const value = EVALUATED[chart.column];
      chart.legend.hidden = !value || this.#evaluations.length === 0;
      if (!chart.legend.hidden) traces.push(evaluationsOf(this.#evaluations, value, colour));
      const size = { width: chart.plot.clientWidth, height: chart.plot.clientHeight };
      chart.figure.dataset.points = values.length;
      window.Plotly.react(chart.plot, traces, { ...layoutOf(chart, colour), ...size }, CONFIG);
    }
  }

  #column(name) {
    const index = this.#columns.indexOf(name);
    return this.#rows.map((row) => row[index]);
  }
}

/** What an evaluation says of a column. */
const EVALUATED = {
  progress_pct: (e) => e.mean_progress_pct,
  completion_pct: (e) => (100 * e.completed) / Math.max(e.trials.length, 1),
  lap_s: (e) => e.best_lap_s,
};
const CONFIG = { displayModeBar: false, showTips: false };

function figureFor({ column, title }, section) {
  const figure = element("figure", "card");
  figure.dataset.curve = column;
  const head = element("figcaption", "head");
  const legend = element("span", "quiet");
  const diamond = element("span", "diamond", "◆");
  const newest = element("span", "newest", NOTHING);
  const plot = element("div", "chart");
  legend.hidden = true;
  legend.append(diamond, " evaluations");
  plot.setAttribute("aria-hidden", "true"); // the newest value is in the caption
  head.append(element("h2", "", title), legend, newest);
  figure.append(head, plot);
  section.append(figure);
  return { figure, plot, newest, legend };
}

function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function curveOf({ unit }, x, y, colour) {
  return {
    x, y, mode: x.length < 3 ? "lines+markers" : "lines", connectgaps: true,
    line: { color: colour("accent"), width: 2 }, marker: { size: 6 },
    hovertemplate: `%{y:.4~g}${unit}<extra></extra>`,
  };
}

/** Evaluations, as diamonds beside the curve of what they measure too. */
function evaluationsOf(evaluations, value, colour) {
  return {
    x: evaluations.map((e) => e.iteration), y: evaluations.map(value), mode: "markers",
    marker: { symbol: "diamond", size: 8, color: colour("good"), line: { width: 1, color: colour("card") } },
    hovertemplate: "evaluation %{y:.4~g}<extra></extra>",
  };
}

function layoutOf({ range, lines = [] }, colour) {
  const axis = {
    gridcolor: colour("grid"), linecolor: colour("line"), zeroline: false, fixedrange: true,
    tickfont: { size: 11, color: colour("quiet") }, nticks: 4, automargin: true,
  };
  return {
    margin: { l: 8, r: 8, t: 8, b: 8 }, showlegend: false, hovermode: "x unified",
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "inherit", color: colour("text") },
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("text") } },
    shapes: lines.map((y) => ({
      type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, layer: "below",
      line: { color: colour("quiet"), width: 1, dash: "dot" },
    })),
    xaxis: { ...axis, showgrid: false, rangemode: "tozero", tickformat: "d" },
    yaxis: { ...axis, ...(range ? { range } : { rangemode: "normal" }) },
  };
}
