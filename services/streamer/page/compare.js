// Runs beside each other: their curves over each other, and what their configurations differ in.

import { encoded, get } from "./api.js";
import { byId, element } from "./elements.js";
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

const chosen = () => new URLSearchParams(location.search).getAll("run").slice(0, MOST);

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
    isKnown: await get(`runs/${encoded(run)}`).then(() => true, () => false),
  })));
  const unknown = answers.filter(({ isKnown }) => !isKnown).map(({ run }) => run);
  byId("trouble").hidden = unknown.length === 0;
  byId("trouble").textContent = `The trainer knows no run ${unknown.join(", ")}.`;
  draw(answers);
  const known = answers.filter(({ isKnown }) => isKnown).map(({ run }) => run);
  await showDifferences(known).catch((error) => {
    byId("trouble").hidden = false;
    byId("trouble").textContent = error.message;
  });
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

async function showDifferences(runs) {
  const query = new URLSearchParams(runs.map((run) => ["run", run]));
  const found = runs.length < 2 ? { differences: [], compared: 0 } : await get(`differences?${query}`);
  byId("differences-note").textContent =
    runs.length < 2 ? "" : `${found.differences.length} of ${found.compared} settings`;
  const head = element("tr");
  head.append(element("th", "Setting", { scope: "col" }), ...runs.map((run) => element("th", run, { scope: "col" })));
  const lines = found.differences.map(({ setting, values }) => {
    const line = element("tr", "", { "data-setting": setting });
    line.append(element("th", setting, { scope: "row" }), ...values.map(valueCell));
    return line;
  });
  const [top, body] = [element("thead"), element("tbody")];
  top.append(head);
  body.append(...lines);
  byId("differences").replaceChildren(top, body);
}

function valueCell(value) {
  const cell = element("td");
  const text = value ?? NOTHING;
  cell.append(text.includes("\n") ? element("pre", text) : text);
  return cell;
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
