// The page of all runs: what there is, what can be done with it, and the form of a new one.

import { ask, encoded, get } from "./api.js";
import { DEEDS, deedButton } from "./deeds.js";
import { Editor } from "./editor.js";
import { byId, element } from "./elements.js";
import { NOTHING, count, duration, lapTime } from "./format.js";
import { Live } from "./live.js";

const PAGE = 50;
const TYPING_MS = 150;
const REFRESH_MS = 2000; // while something runs: steps and times grow
const MODEL_FILES = ["reward_function.py", "model_metadata.json", "hyperparameters.json", "run.yaml"];

const when = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "short" });
const editor = new Editor(onQueued);

let wanted = PAGE;
let typing = null;
let refreshing = null;
let timer = null;

function say(text) {
  byId("said").textContent = text;
}

function complain(error) {
  byId("trouble").hidden = error === null;
  byId("trouble").textContent = error?.message ?? "";
}

/** Say what came of a deed: `doing` is the promise of a sentence. */
async function report(doing) {
  complain(null);
  try {
    say(await doing);
  } catch (error) {
    complain(error);
  }
  await refresh();
}

/** Whether a person really means it. */
async function sure(title, text, yes) {
  const dialog = byId("ask");
  byId("ask-title").textContent = title;
  byId("ask-text").textContent = text;
  byId("ask-yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise((close) => dialog.addEventListener("close", close, { once: true }));
  return dialog.returnValue === "yes";
}

const OF_RUNS = ["stop", "evaluate", "resume", "clone", "submit"];

async function remove(run) {
  const text = "Its checkpoints, models and logs in the store go too. Its journal stays.";
  if (await sure(`Delete ${run.id}?`, text, "Delete it")) {
    await report(ask("DELETE", `runs/${encoded(run.id)}`).then(() => `${run.id} is deleted.`));
  }
}

async function copy(run) {
  complain(null);
  try {
    const files = {};
    for (const name of MODEL_FILES) {
      const text = await get(`models/${encoded(run.id)}/files/${name}`).catch(() => null);
      if (text !== null) files[name] = typeof text === "string" ? text : JSON.stringify(text, null, 2);
    }
    await editor.open(files, run.track, `a copy of ${run.id}`);
  } catch (error) {
    complain(error);
  }
}

function row(run) {
  const line = document.createElement("tr");
  const name = document.createElement("th");
  name.scope = "row";
  name.append(element("a", run.id, { href: `/runs/${encoded(run.id)}` }));
  const { progress } = run;
  line.append(
    name,
    element("td", run.status, { class: "state", "data-status": run.status }),
    element("td", run.track),
    element("td", run.started_at ? when.format(new Date(run.started_at)) : NOTHING),
    element("td", progress.elapsed_s ? duration(progress.elapsed_s) : NOTHING, { class: "number" }),
    element("td", progress.env_steps ? count(progress.env_steps) : NOTHING, { class: "number" }),
    element("td", progress.best_lap_s ? `${lapTime(progress.best_lap_s)} s` : NOTHING, { class: "number" }),
    element("td", run.reason ?? "", { class: "reason" }),
    deeds(run),
  );
  return line;
}

function deeds(run) {
  const cell = element("td", "", { class: "deeds" });
  const shown = { id: run.id, status: run.status, hasCheckpoint: run.last !== null };
  cell.append(
    ...OF_RUNS.filter((key) => DEEDS[key].fits(shown)).map((key) => deedButton(key, shown, report)),
    ownButton("copy", "Edit a copy", run, copy),
    ...(run.outcome === null ? [] : [ownButton("remove", "Delete", run, remove)]),
  );
  return cell;
}

function ownButton(key, label, run, doing) {
  const button = element("button", label, { type: "button", "aria-label": `${label}: ${run.id}`, "data-deed": key });
  button.addEventListener("click", () => doing(run));
  return button;
}

async function runsSoFar() {
  const runs = [];
  let cursor = null;
  do {
    const query = new URLSearchParams({ limit: Math.min(wanted - runs.length, 100), name: byId("find").value.trim() });
    if (cursor !== null) query.set("cursor", cursor);
    const page = await get(`runs?${query}`);
    runs.push(...page.items);
    cursor = page.next;
  } while (cursor !== null && runs.length < wanted);
  return { runs, hasMore: cursor !== null };
}

/** Draw anew, but leave the buttons alone under whoever is about to press one. */
function draw(runs, hasMore) {
  const table = byId("runs");
  const held = document.activeElement?.closest("#runs button");
  const focused = held && { run: held.closest("tr").dataset.run, deed: held.dataset.deed };
  const lines = runs.map((run) => {
    const line = row(run);
    line.dataset.run = run.id;
    return line;
  });
  table.replaceChildren(...lines);
  if (focused) {
    table.querySelector(`tr[data-run="${CSS.escape(focused.run)}"] [data-deed=${focused.deed}]`)?.focus();
  }
  byId("none").hidden = runs.length > 0 || byId("find").value !== "";
  byId("none-found").hidden = runs.length > 0 || byId("find").value === "";
  byId("more").hidden = !hasMore;
  const going = runs.filter((run) => run.status === "running").length;
  const queued = runs.filter((run) => run.status === "queued").length;
  byId("runs-note").textContent = `${going} running, ${queued} queued`;
  return going + queued > 0;
}

async function refresh() {
  refreshing ??= (async () => {
    clearTimeout(timer);
    const asked = byId("find").value;
    try {
      const { runs, hasMore } = await runsSoFar();
      byId("connection").textContent = "";
      if (draw(runs, hasMore)) timer = setTimeout(refresh, REFRESH_MS);
    } catch (error) {
      byId("connection").textContent = error.message;
      timer = setTimeout(refresh, REFRESH_MS);
    } finally {
      refreshing = null;
      if (byId("find").value !== asked) refresh(); // something else was typed meanwhile
    }
  })();
  return refreshing;
}

function onQueued(run) {
  say(`${run.id} is queued.`);
  refresh();
  byId("runs-title").scrollIntoView();
}

byId("new-run").addEventListener("click", () => editor.openStarter().catch(complain));
byId("find").addEventListener("input", () => {
  wanted = PAGE;
  clearTimeout(typing);
  typing = setTimeout(refresh, TYPING_MS);
});
byId("more").addEventListener("click", () => {
  wanted += PAGE;
  refresh();
});
new Live({ runs: () => refresh() }, () => {}).follow(null);
refresh();
