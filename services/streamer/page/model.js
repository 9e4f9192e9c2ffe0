// What a run has made: checkpoints and files, to be taken away.

import { encoded, get } from "./api.js";
import { NOTHING, count } from "./format.js";

const byId = (id) => document.getElementById(id);
const OF_NOTE = [/\.tar\.gz$/, /\.onnx$/, /model_\d+\.pb$/, /TrainingMetrics\.json$/, /reward_function\.py$/, /\.jsonl$/];
const SHOWN = 12;

const size = (bytes) => (bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.max(bytes / 1e3, 0.1).toFixed(1)} kB`);

/** Fill the card of the run's model; it stays hidden where there is none yet. */
export async function showModel(runId, isStillShown) {
  const model = await get(`models/${encoded(runId)}`).catch(() => null);
  if (!isStillShown()) return;
  byId("model").hidden = model === null;
  if (model === null) return;
  const { checkpoints, files } = model;
  const newest = checkpoints.at(-1);
  byId("model-note").textContent = newest
    ? `${checkpoints.length} checkpoints, the newest after ${count(newest.env_steps)} steps`
    : NOTHING;
  byId("model-files").replaceChildren(...fileItems(runId, files).slice(0, SHOWN));
}

/** Links to the files that people take away, archives first, of each kind the newest first. */
export function fileItems(runId, files) {
  const ofNote = files.filter(({ path }) => OF_NOTE.some((pattern) => pattern.test(path)));
  const best = ofNote.sort((a, b) => rank(a) - rank(b) || b.path.localeCompare(a.path, "en", { numeric: true }));
  return best.map(({ path, size_bytes }) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = `/api/models/${encoded(runId)}/files/${path}`;
    link.download = `${runId}-${path.split("/").at(-1)}`;
    link.textContent = path;
    item.append(link, ` ${size(size_bytes)}`);
    return item;
  });
}

const rank = ({ path }) => OF_NOTE.findIndex((pattern) => pattern.test(path));
