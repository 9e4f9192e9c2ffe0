// The broadcast layout: 1920 x 1080 for OBS. `?transparent` leaves the ground out.

import { NOTHING, amount, count, duration, lapTime, percent } from "./format.js";
import { Live } from "./live.js";
import { TrackMap } from "./map.js";

const LAST_ITERATIONS = 10;
const RUNNING = new Set(["running", "queued"]);

const byId = (id) => document.getElementById(id);
const runId = decodeURIComponent(location.pathname.split("/").at(-1));
const map = new TrackMap(byId("map"));

let clockOffsetS = 0;
let session = null;
let rows = [];
let isDrawn = false;

document.body.classList.toggle("transparent", new URLSearchParams(location.search).has("transparent"));

function definitions(list, pairs) {
  list.replaceChildren(...pairs.map(([name, value, note]) => {
    const row = document.createElement("div");
    const term = document.createElement("dt");
    const text = document.createElement("dd");
    const small = document.createElement("small");
    term.textContent = name;
    small.textContent = note ?? "";
    text.append(value, small);
    row.append(term, text);
    return row;
  }));
}

function onFigures(figures) {
  if (figures.run_id !== runId) return;
  session = figures.session;
  const { fastest_lap_s: lap, fastest_pace_s: pace, most_reward: reward, furthest_pct: furthest } = figures.peaks;
  byId("run-name").textContent = figures.run_id;
  byId("run-track").textContent = figures.track;
  const where = (peak) => (peak ? `episode ${count(peak.episode)}` : "");
  definitions(byId("peaks"), [
    ["Fastest lap", lap ? `${lapTime(lap.value)} s` : NOTHING, where(lap)],
    ["Fastest pace", pace ? `${lapTime(pace.value)} s` : NOTHING, pace ? "extrapolated" : ""],
    ["Most reward", reward ? amount(reward.value) : NOTHING, where(reward)],
    ["Furthest", furthest ? `${percent(furthest.value)} %` : NOTHING, where(furthest)],
  ]);
  showOffline();
  if (!isDrawn && figures.track) drawTrack();
  tick();
}

function showOffline() {
  const isOn = session !== null && RUNNING.has(session.status);
  byId("stage").hidden = session === null;
  byId("offline").hidden = isOn;
  byId("offline").classList.toggle("ended", session !== null && !isOn);
  byId("offline-text").textContent = session === null ? "Waiting for the run…" : `${runId}: ${session.status}. ${session.reason}`;
}

async function drawTrack() {
  isDrawn = true;
  const answer = await fetch(`/v1/runs/${encodeURIComponent(runId)}/track`).catch(() => null);
  if (answer?.ok) map.setTrack(await answer.json());
  else isDrawn = false;
}

function tick() {
  if (session === null) return;
  const nowS = Date.now() / 1000 + clockOffsetS;
  const activeS = session.active_s + (session.running_since_s === null ? 0 : nowS - session.running_since_s);
  definitions(byId("session"), [
    ["Iterations", count(session.iterations)],
    ["Episodes", count(session.episodes)],
    ["Steps", count(session.env_steps)],
    ["Steps/s", session.steps_per_s ? count(session.steps_per_s) : NOTHING],
    ["Duration", duration(activeS)],
  ]);
}

function onCurves({ columns, start, rows: fresh }) {
  rows = [...rows.slice(0, start), ...fresh];
  const at = (name) => columns.indexOf(name);
  const shown = rows.slice(-LAST_ITERATIONS).reverse();
  byId("iterations").replaceChildren(...shown.map((row) => {
    const line = document.createElement("tr");
    const cells = [
      count(row[at("iteration")]),
      row[at("progress_pct")] === null ? NOTHING : `${percent(row[at("progress_pct")])} %`,
      row[at("completion_pct")] === null ? NOTHING : `${percent(row[at("completion_pct")])} %`,
      row[at("reward")] === null ? NOTHING : amount(row[at("reward")]),
    ];
    for (const text of cells) line.append(Object.assign(document.createElement("td"), { textContent: text }));
    return line;
  }));
}

function onCamera({ jpeg }) {
  const image = byId("camera");
  image.hidden = !jpeg;
  if (jpeg) image.src = `data:image/jpeg;base64,${jpeg}`;
}

const handlers = {
  hello: ({ now_s }) => {
    clockOffsetS = now_s - Date.now() / 1000;
  },
  figures: onFigures,
  curves: onCurves,
  paths: (value) => map.addPaths(value),
  cars: ({ cars }) => map.setCars(cars),
  camera: onCamera,
};
new Live(handlers, () => {}).follow(runId);
setInterval(tick, 500);
