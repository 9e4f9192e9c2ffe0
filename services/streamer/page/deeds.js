// What can be done with a run, from whichever page: {id, status, hasCheckpoint}.

import { ask, encoded } from "./api.js";
import { element } from "./elements.js";

const ENDED = new Set(["finished", "stopped", "failed"]);
const ended = (run) => ENDED.has(run.status);
const path = (run, deed) => `runs/${encoded(run.id)}/${deed}`;

/** Each does it, and returns a sentence about what happens now. */
export const DEEDS = {
  stop: {
    label: "Stop",
    fits: (run) => !ended(run),
    why: "It has ended.",
    do: async (run) => {
      await ask("POST", path(run, "stop"), { reason: "stopped on the page" });
      return `${run.id} ends after its current update.`;
    },
  },
  evaluate: {
    label: "Evaluate",
    fits: (run) => run.hasCheckpoint,
    why: "It has no checkpoint yet.",
    do: async (run) => {
      await ask("POST", path(run, "evaluations"), { trials: 5 });
      return `The best checkpoint of ${run.id} will be evaluated; the live page shows it.`;
    },
  },
  resume: {
    label: "Resume",
    fits: (run) => ended(run) && run.hasCheckpoint,
    why: "It goes on, or has no checkpoint to go on from.",
    do: async (run) => {
      await ask("POST", path(run, "resume"));
      return `${run.id} is queued again.`;
    },
  },
  clone: {
    label: "Clone",
    fits: (run) => run.hasCheckpoint,
    why: "It has no checkpoint yet.",
    do: async (run) => {
      const made = await ask("POST", path(run, "clone"), {});
      return `${made.id} is queued: it begins with the best checkpoint of ${run.id}.`;
    },
  },
  submit: {
    label: "Package for races",
    fits: (run) => run.hasCheckpoint,
    why: "It has no checkpoint yet.",
    do: async (run) => {
      const made = await ask("POST", "packages", { run: run.id, checkpoint: "best" });
      return `${made.checkpoint} of ${run.id} is packaged for the car and the virtual league, in ${made.folder}.`;
    },
  },
};

/**
 * A button for a deed. `report` takes the promise of its sentence.
 *
 * The name of the run is part of the button's: a table has many that look the same.
 */
export function deedButton(key, run, report) {
  const { label, do: doing } = DEEDS[key];
  const button = element("button", label, { type: "button", "aria-label": `${label}: ${run.id}`, "data-deed": key });
  button.addEventListener("click", async () => {
    button.disabled = true;
    await report(doing(run));
    button.disabled = !DEEDS[key].fits(run);
  });
  return button;
}
