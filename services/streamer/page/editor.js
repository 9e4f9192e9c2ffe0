// The form of a new run: files of a run folder, checked by the same code that queues them.

import { drawActions } from "./actions.js";
import { ask, encoded, get } from "./api.js";
import { highlight } from "./highlight.js";
import { Knobs } from "./knobs.js";

const FIELDS = {
  "reward_function.py": "reward",
  "model_metadata.json": "metadata",
  "hyperparameters.json": "hyperparameters",
  "run.yaml": "runfile",
};
const OWN_TRACK = ""; // what the folder's run.yaml says
const LATER_MS = 150;

const byId = (id) => document.getElementById(id);

export class Editor {
  #onQueued;
  #starters = null;
  #later = null;
  #knobs = new Knobs();

  constructor(onQueued) {
    this.#onQueued = onQueued;
    byId("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send("runs");
    });
    byId("check").addEventListener("click", () => this.#send("runs/check"));
    byId("close-editor").addEventListener("click", () => {
      byId("editor").hidden = true;
      byId("new-run").focus();
    });
    byId("starter").addEventListener("change", () => this.#fill(this.#starters[byId("starter").value].files));
    byId("folder").addEventListener("change", () => this.#readFolder(byId("folder").files));
    byId("track").addEventListener("change", () => this.#showTrack());
    byId("metadata").addEventListener("input", () => this.#soon());
    const reward = byId("reward");
    reward.addEventListener("input", () => this.#colour());
    reward.addEventListener("scroll", () => {
      const pre = byId("highlighted").parentElement;
      pre.scrollTop = reward.scrollTop;
      pre.scrollLeft = reward.scrollLeft;
    });
    reward.addEventListener("keydown", indent);
  }

  async openStarter() {
    await this.#load();
    const first = this.#starters.findIndex(({ name }) => name === "starter");
    byId("starter").value = String(Math.max(first, 0));
    await this.open(this.#starters[Math.max(first, 0)]?.files ?? {}, OWN_TRACK, "");
  }

  async open(files, track, note) {
    await this.#load();
    byId("editor").hidden = false;
    byId("editor-note").textContent = note;
    byId("name").value = "";
    this.#fill(files);
    byId("track").value = track;
    await this.#showTrack();
    byId("editor").scrollIntoView();
    byId("name").focus({ preventScroll: true });
  }

  async #load() {
    if (this.#starters !== null) return;
    const [starters, tracks] = await Promise.all([get("starters"), get("tracks")]);
    this.#starters = starters;
    byId("starter").replaceChildren(...starters.map(({ name }, index) => new Option(`models/${name}`, index)));
    const names = (tracks.items ?? tracks).map(({ name, length_m }) =>
      new Option(`${name} · ${length_m.toFixed(1)} m`, name));
    byId("track").replaceChildren(new Option("as run.yaml says", OWN_TRACK), ...names);
  }

  #fill(files) {
    for (const [name, field] of Object.entries(FIELDS)) byId(field).value = files[name] ?? "";
    byId("findings").replaceChildren();
    this.#colour();
    this.#soon();
    this.#knobs.soon();
  }

  async #readFolder(chosen) {
    const files = {};
    for (const file of chosen) {
      if (file.name in FIELDS) files[file.name] = await file.text();
    }
    this.#fill(files);
    const missing = Object.keys(FIELDS).filter((name) => !(name in files) && name !== "run.yaml");
    if (missing.length > 0) this.#find([`The folder has no ${missing.join(", no ")}.`], "problem");
  }

  #colour() {
    byId("highlighted").replaceChildren(...highlight(byId("reward").value));
  }

  #soon() {
    clearTimeout(this.#later);
    this.#later = setTimeout(() => {
      byId("actions-note").textContent = drawActions(byId("actions"), byId("metadata").value);
    }, LATER_MS);
  }

  async #showTrack() {
    const name = byId("track").value;
    byId("track-picture").hidden = name === OWN_TRACK;
    byId("track-note").textContent = "";
    if (name === OWN_TRACK) return;
    byId("track-picture").src = `/api/tracks/${encoded(name)}/preview.png`;
    byId("track-picture").alt = `The track ${name}`;
  }

  #find(lines, kind) {
    const items = lines.map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      item.dataset.kind = kind;
      return item;
    });
    byId("findings").replaceChildren(...items);
  }

  async #send(path) {
    const files = {};
    for (const [name, field] of Object.entries(FIELDS)) {
      const text = byId(field).value;
      if (text.trim()) files[name] = text;
    }
    const body = { files };
    if (byId("name").value) body.name = byId("name").value;
    if (byId("track").value !== OWN_TRACK) body.track = byId("track").value;
    this.#find(["Checking…"], "note");
    try {
      const answer = await ask("POST", path, body);
      if (path === "runs") {
        byId("editor").hidden = true;
        this.#onQueued(answer);
      } else {
        this.#find([`All is well: it would be queued as ${answer.name}.`, ...answer.warnings], "note");
      }
    } catch (error) {
      this.#find(error.problems ?? [error.message], "problem");
    }
  }
}

/** Tab indents, as in an editor; Escape gives it back to the keyboard's own use. */
function indent(event) {
  const area = event.target;
  if (event.key === "Escape") area.dataset.leave = "yes";
  else if (event.key === "Tab" && !event.shiftKey && area.dataset.leave !== "yes") {
    event.preventDefault();
    area.setRangeText("    ", area.selectionStart, area.selectionEnd, "end");
    area.dispatchEvent(new Event("input"));
  } else if (event.key !== "Tab") delete area.dataset.leave;
}
