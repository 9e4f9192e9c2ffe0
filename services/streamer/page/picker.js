// The choice of the run, and which one to show where none was chosen.

import { count } from "./format.js";

const ACTIVE = new Set(["running", "queued"]);

export class Picker {
  #select;
  #label;
  #runs = [];
  #older = 0;
  #chosen = null;

  constructor(select, label, onChoice) {
    this.#select = select;
    this.#label = label;
    select.addEventListener("change", () => onChoice(select.value));
  }

  /** What is running, else the newest; null where there is no run. */
  get first() {
    return this.#runs[0]?.run_id ?? null;
  }

  has(runId) {
    return this.#runs.some((run) => run.run_id === runId);
  }

  isActive(runId) {
    return this.#runs.some((run) => run.run_id === runId && ACTIVE.has(run.status));
  }

  get hasRunning() {
    return this.#runs[0]?.status === "running";
  }

  /** `total` counts those too that are not among the `runs`. */
  setRuns(runs, total) {
    this.#runs = runs;
    this.#older = total - runs.length;
    this.#draw();
  }

  setChosen(runId) {
    this.#chosen = runId;
    this.#draw();
  }

  #draw() {
    const known = this.has(this.#chosen);
    const options = this.#runs.map((run) => new Option(title(run), run.run_id));
    if (this.#chosen !== null && !known) options.unshift(new Option(this.#chosen, this.#chosen));
    if (this.#older > 0) {
      const note = new Option(`${count(this.#older)} older ones: see Runs`, "");
      note.disabled = true;
      options.push(note);
    }
    this.#label.hidden = options.length === 0;
    this.#select.replaceChildren(...options);
    if (this.#chosen !== null) this.#select.value = this.#chosen;
  }
}

function title(run) {
  const track = run.track ? ` · ${run.track}` : "";
  return `${run.run_id}${track} · ${run.status}`;
}
