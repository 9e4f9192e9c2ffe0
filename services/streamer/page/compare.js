// Runs beside each other: their curves over each other, and what their configurations differ in.

import { encoded, get } from "./api.js";
import { NOTHING } from "./format.js";

const CHARTS = [
  ["progress_pct", "Progress, %"],
  ["completion_pct", "Laps completed, %"],
  ["reward", "Reward"],
  ["lap_s", "Lap time, s"],
  ["entropy", "Entropy"],
  ["kl_divergence", "KL divergence"],
];
// Okabe and Ito's palette, told apart by colour-blind eyes too; dashes where that is not enough.
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "solid"];
const MOST = COLOURS.length;
const LEFT_OUT = new Set(["name"]);

const byId = (id) => document.getElementById(id);

const chosen = () => new URLSearchParams(location.search).getAll("run").slice(0, MOST);

function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function choose(runs) {
  const query = new URLSearchParams(runs.map((run) => ["run", run]));
  history.pushState(null, "", `/compare?${query}`);
  show();
}

async function curvesOf(run) {
  const answer = await fetch(`/v1/runs/${encoded(run)}/scoreboard`).catch(() => null);
  return answer?.ok ? (await answer.json()).curves : { columns: [], rows: [] };
}

async function show() {
  const runs = chosen();
  byId("trouble").hidden = true;
  showChosen(runs);
  const answers = await Promise.all(runs.map(async (run) => ({
    run,
    curves: await curvesOf(run),
    spec: (await get(`runs/${encoded(run)}`).catch((error) => ({ error })))?.spec,
  })));
  const unknown = answers.filter(({ spec }) => !spec).map(({ run }) => run);
  byId("trouble").hidden = unknown.length === 0;
  byId("trouble").textContent = `The trainer knows no run ${unknown.join(", ")}.`;
  draw(answers);
  showDifferences(answers.filter(({ spec }) => spec));
}

function showChosen(runs) {
  byId("chosen").replaceChildren(...runs.map((run, index) => {
    const item = element("li");
    const line = element("span", "", { class: "key", style: `border-color:${COLOURS[index]};border-top-style:${index % 2 ? "dashed" : "solid"}` });
    const remove = element("button", "Remove", { type: "button", "aria-label": `Remove ${run}` });
    remove.addEventListener("click", () => choose(runs.filter((other) => other !== run)));
    item.append(line, element("a", run, { href: `/runs/${encoded(run)}` }), remove);
    return item;
  }));
  byId("chosen-note").textContent = runs.length < 2 ? "Add two runs or more." : `${runs.length} runs`;
}

function draw(answers) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  byId("charts").replaceChildren(...CHARTS.map(([column, title]) => {
    const figure = element("figure", "", { class: "card", "data-curve": column });
    const plot = element("div", "", { class: "chart", "aria-hidden": "true" });
    figure.append(element("figcaption", title), plot);
    requestAnimationFrame(() => plotOne(plot, column, answers, colour));
    figure.dataset.runs = answers.filter(({ curves }) => curves.rows.length > 0).length;
    return figure;
  }));
}

function plotOne(plot, column, answers, colour) {
  const traces = answers.map(({ run, curves: { columns, rows } }, index) => ({
    name: run,
    x: rows.map((row) => row[columns.indexOf("iteration")]),
    y: rows.map((row) => row[columns.indexOf(column)]),
    mode: "lines",
    connectgaps: true,
    line: { color: COLOURS[index], dash: DASHES[index], width: 2 },
  }));
  const axis = { gridcolor: colour("grid"), zeroline: false, fixedrange: true, automargin: true, tickfont: { size: 11, color: colour("quiet") }, nticks: 5 };
  window.Plotly.newPlot(plot, traces, {
    margin: { l: 8, r: 8, t: 8, b: 8 }, showlegend: false, hovermode: "x unified", paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)", font: { family: "inherit", color: colour("text") },
    hoverlabel: { bgcolor: colour("card"), font: { color: colour("text") } },
    width: plot.clientWidth, height: plot.clientHeight, xaxis: { ...axis, showgrid: false }, yaxis: axis,
  }, { displayModeBar: false });
}

/** `{a: {b: 1}}` as [["a.b", "1"]]. */
function flat(value, path = "") {
  const isNested = value !== null && typeof value === "object" && !Array.isArray(value);
  if (!isNested) return [[path, typeof value === "string" ? value : JSON.stringify(value)]];
  return Object.entries(value).flatMap(([key, inner]) => flat(inner, path ? `${path}.${key}` : key));
}

function showDifferences(answers) {
  const maps = answers.map(({ spec }) => new Map(flat(spec)));
  const keys = [...new Set(maps.flatMap((map) => [...map.keys()]))].filter((key) => !LEFT_OUT.has(key));
  const differing = keys.filter((key) => new Set(maps.map((map) => map.get(key))).size > 1);
  byId("differences-note").textContent = answers.length < 2 ? "" : `${differing.length} of ${keys.length} settings`;
  const head = element("tr");
  head.append(element("th", "Setting", { scope: "col" }), ...answers.map(({ run }) => element("th", run, { scope: "col" })));
  const lines = differing.map((key) => {
    const line = element("tr", "", { "data-setting": key });
    const cells = maps.map((map) => {
      const cell = element("td");
      const text = map.get(key) ?? NOTHING;
      cell.append(text.includes("\n") ? element("pre", text) : text);
      return cell;
    });
    line.append(element("th", key, { scope: "row" }), ...cells);
    return line;
  });
  const [top, body] = [element("thead"), element("tbody")];
  top.append(head);
  body.append(...lines);
  byId("differences").replaceChildren(top, body);
}

async function fillChoice() {
  const answer = await fetch("/v1/runs?limit=1000").catch(() => null);
  const { runs } = answer?.ok ? await answer.json() : { runs: [] };
  const options = runs.map((run) => new Option(`${run.run_id} · ${run.track}`, run.run_id));
  byId("add").replaceChildren(new Option("a run…", ""), ...options);
}

byId("add").addEventListener("change", (event) => {
  const run = event.target.value;
  event.target.value = "";
  if (run && !chosen().includes(run)) choose([...chosen(), run].slice(0, MOST));
});
addEventListener("popstate", show);
document.addEventListener("DOMContentLoaded", show);
fillChoice();
