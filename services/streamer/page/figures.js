// Status, peaks, session figures and the last evaluation.

import { NOTHING, amount, count, duration, episodeName, episodeStatus, lapTime, percent } from "./format.js";

const byId = (id) => document.getElementById(id);

export class Figures {
  #figures = null;
  #clockOffsetS = 0;
  #duration = null;

  constructor() {
    setInterval(() => this.#tick(), 250);
  }

  /** The server's clock, so that durations are right whatever this machine's clock says. */
  setClock(nowS) {
    this.#clockOffsetS = nowS - Date.now() / 1000;
  }

  show(figures) {
    this.#figures = figures;
    showStatus(figures.session);
    showPeaks(figures.peaks, figures.run_id);
    this.#showSession(figures);
    showEvaluation(figures.evaluations.at(-1));
    showActions(figures.actions);
    byId("trouble").hidden = !figures.trouble;
    byId("trouble").textContent = figures.trouble ?? "";
    document.title = pageTitle(figures);
  }

  #showSession({ session, cars }) {
    const rows = [
      ["Iterations", count(session.iterations)],
      ["Episodes", count(session.episodes)],
      ["Duration", ""],
      ["Steps", count(session.env_steps)],
      ["Steps/s", session.steps_per_s ? count(session.steps_per_s) : NOTHING],
      ["Cars", cars ?? NOTHING],
      ["Last checkpoint", checkpointName(session.checkpoint), "small"],
      ["Best checkpoint", checkpointName(session.best_checkpoint), "small"],
      ["Attempt", session.attempt || NOTHING],
    ];
    byId("session").replaceChildren(...rows.map(([name, value, style]) => definition(name, value, style)));
    this.#duration = byId("session").querySelector('[data-name="Duration"]');
    this.#tick();
  }

  #tick() {
    if (this.#duration === null) return;
    const { active_s, running_since_s, started_at_s } = this.#figures.session;
    const nowS = Date.now() / 1000 + this.#clockOffsetS;
    const runningS = running_since_s === null ? 0 : nowS - running_since_s;
    const text = started_at_s === null ? NOTHING : duration(active_s + runningS);
    if (this.#duration.textContent !== text) this.#duration.textContent = text;
  }
}

const checkpointName = (name) => name?.replace(/\.ckpt$/, "") ?? NOTHING;

function definition(name, value, style = "") {
  const row = document.createElement("div");
  const term = document.createElement("dt");
  const text = document.createElement("dd");
  term.textContent = name;
  text.textContent = value;
  text.dataset.name = name;
  text.className = style;
  row.append(term, text);
  return row;
}

export function clearStatus() {
  byId("status").dataset.status = "";
  byId("status").replaceChildren();
}

function showStatus({ status, reason }) {
  const line = byId("status");
  if (line.dataset.status === status && line.dataset.reason === reason) return;
  Object.assign(line.dataset, { status, reason });
  const detail = document.createElement("span");
  detail.className = "quiet";
  detail.textContent = reason;
  line.replaceChildren(status, ...(reason ? [detail] : []));
}

function showPeaks(peaks, runId) {
  const { fastest_lap_s: lap, fastest_pace_s: pace, most_reward: reward, furthest_pct: furthest } = peaks;
  showPeak("fastest-lap", runId, lap && lapTime(lap.value), "s", lap ? episodeName(lap) : "no lap completed yet");
  showPeak("most-reward", runId, reward && amount(reward.value), "", reward ? episodeName(reward) : "no episode ended yet");
  showPeak("furthest", runId, furthest && percent(furthest.value), "%", furthest ? episodeName(furthest) : "no episode ended yet");
  const line = byId("fastest-pace");
  line.textContent = pace ? `pace ${lapTime(pace.value)} s, extrapolated, ${episodeName(pace)}` : "";
  line.title = pace ? `This episode drove ${percent(pace.progress_pct)} % of a lap.` : "";
}

function showPeak(id, runId, value, unit, note) {
  const card = byId(id);
  const better = value !== null && card.dataset.run === runId && card.dataset.value !== value;
  card.dataset.run = runId;
  card.dataset.value = value ?? "";
  const sign = document.createElement("span");
  sign.className = "unit";
  sign.textContent = value === null ? "" : unit;
  card.querySelector(".value").replaceChildren(value ?? NOTHING, sign);
  card.querySelector(".note").textContent = note;
  if (!better) return;
  card.classList.remove("new");
  void card.offsetWidth; // the animation begins anew only after a layout
  card.classList.add("new");
}

function showEvaluation(evaluation) {
  const note = byId("evaluation-note");
  if (!evaluation) {
    note.textContent = "";
    const none = document.createElement("li");
    none.className = "quiet";
    none.textContent = "none yet";
    byId("trials").replaceChildren(none);
    return;
  }
  note.textContent = `${evaluation.completed} of ${evaluation.trials.length} laps · ${checkpointName(evaluation.checkpoint)}`;
  byId("trials").replaceChildren(...evaluation.trials.map(trial));
}

function showActions(actions) {
  byId("use").hidden = actions.length === 0;
  const lines = actions.map(({ label, share }) => {
    const [line, bar, fill, value] = ["li", "span", "span", "span"].map((tag) => document.createElement(tag));
    bar.className = "bar-of";
    fill.style.width = `${(100 * share).toFixed(1)}%`;
    value.className = "share";
    value.textContent = `${percent(100 * share)} %`;
    bar.append(fill);
    line.append(label, bar, value);
    return line;
  });
  byId("uses").replaceChildren(...lines);
}

function trial({ trial: number, lap_s, progress_pct, status }) {
  const item = document.createElement("li");
  const value = document.createElement("strong");
  const done = lap_s !== null;
  item.className = done ? "done" : "failed";
  value.textContent = done ? `${lapTime(lap_s)} s` : `${percent(progress_pct)} %`;
  item.append(value, done ? `trial ${number}` : episodeStatus(status));
  return item;
}

function pageTitle({ run_id, peaks, session }) {
  const lap = peaks.fastest_lap_s ? `${lapTime(peaks.fastest_lap_s.value)} s · ` : "";
  return `${lap}${run_id} ${session.status} · Slipstream`;
}
