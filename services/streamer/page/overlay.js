// The broadcast layout: 1920 x 1080 for OBS. `?transparent` leaves the ground out.

import { byId, element } from "./elements.js";
import { NOTHING, amount, count, duration, lapTime, percent } from "./format.js";
import { RunView, addressedRun, definitions } from "./run_view.js";

const RUNNING = new Set(["running", "queued"]);

const runId = addressedRun();

document.body.classList.toggle("transparent", new URLSearchParams(location.search).has("transparent"));

function onFigures({ peaks, session, track }) {
  const { fastest_lap_s: lap, fastest_pace_s: pace, most_reward: reward, furthest_pct: furthest } = peaks;
  byId("run-name").textContent = runId;
  byId("run-track").textContent = track;
  const where = (peak) => (peak ? `episode ${count(peak.episode)}` : "");
  definitions(byId("peaks"), [
    ["Fastest lap", lap ? `${lapTime(lap.value)} s` : NOTHING, where(lap)],
    ["Fastest pace", pace ? `${lapTime(pace.value)} s` : NOTHING, pace ? "extrapolated" : ""],
    ["Most reward", reward ? amount(reward.value) : NOTHING, where(reward)],
    ["Furthest", furthest ? `${percent(furthest.value)} %` : NOTHING, where(furthest)],
  ]);
  const isOn = RUNNING.has(session.status);
  byId("stage").hidden = false;
  byId("offline").hidden = isOn;
  byId("offline").classList.toggle("ended", !isOn);
  byId("offline-text").textContent = `${runId}: ${session.status}. ${session.reason}`;
}

function onTick(activeS) {
  const { session } = view;
  definitions(byId("session"), [
    ["Iterations", count(session.iterations)],
    ["Episodes", count(session.episodes)],
    ["Steps", count(session.env_steps)],
    ["Steps/s", session.steps_per_s ? count(session.steps_per_s) : NOTHING],
    ["Duration", duration(activeS)],
  ]);
}

function onRows(columns, rows) {
  const value = (row, name) => row[columns.indexOf(name)];
  const shown = (number, text) => (number === null ? NOTHING : text(number));
  byId("iterations").replaceChildren(...rows.toReversed().map((row) => {
    const line = element("tr");
    line.append(...[
      count(value(row, "iteration")),
      shown(value(row, "progress_pct"), (number) => `${percent(number)} %`),
      shown(value(row, "completion_pct"), (number) => `${percent(number)} %`),
      shown(value(row, "reward"), amount),
    ].map((text) => element("td", text)));
    return line;
  }));
}

const view = new RunView(runId, { map: byId("map"), camera: byId("camera") }, { figures: onFigures, rows: onRows, tick: onTick });
