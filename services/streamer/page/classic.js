// The page of the sandbox of 2019: the same cards and words, with figures that are live.

import { byId } from "./elements.js";
import { NOTHING, amount, count, duration, percent } from "./format.js";
import { RunView, addressedRun, definitions } from "./run_view.js";

const LINES = [
  ["progress_pct", "Progress, %", "#56b4e9", "solid", "y"],
  ["completion_pct", "Laps, %", "#009e73", "dash", "y"],
  ["reward", "Reward", "#e69f00", "dot", "y2"],
];

const runId = addressedRun();

function onFigures({ peaks, session, track }) {
  byId("none").hidden = true;
  document.title = `${runId} · DeepRacer training`;
  definitions(byId("names"), [
    ["Track", track], ["Model Name", runId], ["Session Name", `${session.status}, attempt ${session.attempt || NOTHING}`],
  ]);
  const { fastest_lap_s: lap, fastest_pace_s: pace, most_reward: reward, furthest_pct: furthest } = peaks;
  const shown = (peak, text) => [peak ? text(peak.value) : NOTHING, peak ? `episode ${count(peak.episode)}` : ""];
  definitions(byId("peaks"), [
    ["Fastest Lap", ...shown(lap, (value) => `${value.toFixed(2)}s`)],
    ["Fastest Lap Pace (extrapolated)", ...shown(pace, (value) => `${value.toFixed(2)}s`)],
    ["Most Rewarded Lap", ...shown(reward, (value) => `${value.toFixed(2)}pt`)],
    ["Furthest Lap", ...shown(furthest, (value) => `${percent(value)}%`)],
  ]);
}

function onTick(activeS) {
  const { session } = view;
  definitions(byId("session"), [
    ["Training Iterations", count(session.iterations)],
    ["Simulation Episodes", count(session.episodes)],
    ["Steps/Transitions", count(session.env_steps)],
    ["Session Duration", duration(activeS)],
  ]);
}

function onRows(columns, rows) {
  const of = (name) => rows.map((row) => row[columns.indexOf(name)]);
  const traces = LINES.map(([name, title, color, dash, yaxis]) => ({
    name: title, x: of("iteration"), y: of(name), yaxis, mode: "lines+markers", connectgaps: true, line: { color, dash, width: 2 },
  }));
  const axis = { gridcolor: "#444", zeroline: false, fixedrange: true, automargin: true, color: "#b8c0c8" };
  window.Plotly.react(byId("graph"), traces, {
    margin: { l: 8, r: 8, t: 8, b: 8 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
    xaxis: { ...axis, dtick: 1 }, yaxis: { ...axis, range: [0, 105] }, yaxis2: { ...axis, overlaying: "y", side: "right", showgrid: false },
  }, { displayModeBar: false, responsive: true });
  const newest = (name) => of(name).findLast((value) => value !== null);
  byId("legend").textContent = LINES
    .map(([name, title, , dash]) => `${title} (${dash}): ${newest(name) === undefined ? NOTHING : amount(newest(name))}`).join("   ");
}

const view = new RunView(runId, { map: byId("map"), camera: byId("camera") }, { figures: onFigures, rows: onRows, tick: onTick });
