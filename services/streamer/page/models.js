// The page of models: checkpoints and what they scored, files to take away, what came of which.

import { encoded, get } from "./api.js";
import { DEEDS, deedButton } from "./deeds.js";
import { byId, element, numeric, tableRow } from "./elements.js";
import { NOTHING, amount, count, lapTime, percent } from "./format.js";
import { drawLineage } from "./lineage.js";
import { fileItems } from "./model.js";

const PAGE = 50;
const CHECKPOINTS = 15; // shown at first; a long run has thousands
const FILES = 24;
const REFRESH_MS = 5000;
const AWAIT_MS = 120_000; // after a deed: an evaluation ends within that
const GOING = new Set(["running", "queued"]);
const OF_MODELS = ["evaluate", "clone", "resume", "submit"];

const when = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "short" });
const seconds = (value) => (value === null ? NOTHING : `${lapTime(value)} s`);
const chosen = () => new URLSearchParams(location.search).get("run");

let shown = null; // the model in the section above
let drawn = ""; // what it was drawn from
let isGoing = false; // whether its run does
let awaitedUntilMs = 0;
let cursor = null;
let asked = 0;

function complain(error) {
  byId("trouble").hidden = error === null;
  byId("trouble").textContent = error?.message ?? "";
}

async function report(doing) {
  complain(null);
  try {
    byId("said").textContent = await doing;
    awaitedUntilMs = performance.now() + AWAIT_MS;
    await showOne();
  } catch (error) {
    complain(error);
  }
}

// -- the list ------------------------------------------------------------------------------

async function showList(from) {
  const number = ++asked;
  const query = new URLSearchParams({ limit: PAGE, name: byId("find").value.trim() });
  if (from !== null) query.set("cursor", from);
  try {
    const page = await get(`models?${query}`);
    if (number !== asked) return; // something else was typed meanwhile
    cursor = page.next;
    const lines = page.items.map(listed);
    if (from === null) byId("models").replaceChildren(...lines);
    else byId("models").append(...lines);
    const shown = byId("models").rows.length;
    byId("none").hidden = shown > 0;
    byId("none").textContent = byId("find").value
      ? `No model's name has “${byId("find").value}” in it.`
      : "No model yet. A run has one after its first iteration.";
    byId("more").hidden = cursor === null;
    byId("models-note").textContent = `the newest first${cursor === null ? `, ${count(shown)} of them` : ""}`;
    mark();
  } catch (error) {
    complain(error);
  }
}

function listed(model) {
  const link = element("a", model.run, { href: `/models?run=${encoded(model.run)}` });
  link.addEventListener("click", choose);
  const line = tableRow([
    link,
    model.status,
    model.track,
    when.format(new Date(model.created_at)),
    model.start ? element("a", model.start.run, { href: `/models?run=${encoded(model.start.run)}` }) : NOTHING,
    model.best?.name ?? NOTHING,
    model.last?.name ?? NOTHING,
  ]);
  line.dataset.run = model.run;
  line.children[1].className = "state";
  line.children[1].dataset.status = model.status;
  return line;
}

function mark() {
  for (const line of byId("models").rows) line.setAttribute("aria-current", line.dataset.run === chosen());
}

function choose(event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  history.pushState(null, "", event.currentTarget.href);
  mark();
  showOne().then(() => byId("main").focus());
}

// -- one model -----------------------------------------------------------------------------

async function showOne() {
  const run = chosen();
  if (run !== shown) [shown, drawn] = [run, ""];
  byId("one").hidden = run === null;
  if (run === null) return;
  try {
    const [model, lineage] = await Promise.all([
      get(`models/${encoded(run)}`), get(`models/${encoded(run)}/lineage`),
    ]);
    const told = JSON.stringify([model, lineage]);
    if (run !== chosen() || told === drawn) return; // what is read, or held, stays under the hand
    drawn = told;
    complain(null);
    draw(model, lineage);
  } catch (error) {
    byId("one").hidden = true;
    complain(error);
  }
}

function draw(model, lineage) {
  isGoing = GOING.has(model.status);
  const title = byId("one-title");
  title.replaceChildren(element("a", model.run, { href: `/runs/${encoded(model.run)}` }));
  byId("one-note").textContent = `${model.status} · ${model.track} · ${model.checkpoints.length} checkpoints`;
  const shown = { id: model.run, status: model.status, hasCheckpoint: model.last !== null };
  byId("one-deeds").replaceChildren(
    ...OF_MODELS.filter((key) => DEEDS[key].fits(shown)).map((key) => deedButton(key, shown, report)),
  );
  drawScores(model, CHECKPOINTS);
  byId("files").replaceChildren(...fileItems(model.run, model.files).slice(0, FILES));
  drawLineage(lineage);
}

/** A line for each evaluation of each checkpoint, the newest checkpoints first. */
function drawScores(model, most) {
  const scores = Map.groupBy(model.scores, ({ checkpoint }) => checkpoint);
  const there = new Map(model.files.map(({ path }) => [path.split("/").at(-1), path]));
  const newest = model.checkpoints.toReversed();
  const kept = newest.filter((each, index) => index < most || each.number === model.best?.number);
  byId("scores").replaceChildren(...kept.flatMap((checkpoint) => {
    const own = scores.get(checkpoint.name)?.toReversed() ?? [null];
    return own.map((score) => scoreRow(model, checkpoint, score, there));
  }));
  const button = byId("all-scores");
  button.hidden = kept.length === newest.length;
  button.textContent = `Show all ${count(newest.length)} checkpoints`;
  button.onclick = () => drawScores(model, Infinity);
}

function scoreRow(model, checkpoint, score, there) {
  const isBest = checkpoint.number === model.best?.number;
  const name = element("span", isBest ? `${checkpoint.name} (best)` : checkpoint.name, isBest ? { class: "best" } : {});
  const file = there.get(checkpoint.policy.uri.split("/").at(-1));
  const policy = file
    ? element("a", file.split("/").at(-1), { href: `/api/models/${encoded(model.run)}/files/${file}`, download: "" })
    : NOTHING;
  const scored = score === null ? ["not evaluated", "", ...Array(6).fill(numeric(NOTHING))] : [
    `${score.track}${score.rules === "race" ? ", race rules" : ""}`,
    score.asked ? "request" : "the run",
    numeric(`${score.completed} of ${score.trials}`),
    numeric(`${percent(score.mean_progress_pct)} %`),
    numeric(seconds(score.mean_lap_s)),
    numeric(seconds(score.best_lap_s)),
    numeric(amount(score.mean_reward)),
    numeric(count(score.resets)),
  ];
  return tableRow([name, numeric(count(checkpoint.env_steps)), ...scored, policy]);
}

let typing = null;
byId("find").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => showList(null), 150);
});
byId("more").addEventListener("click", () => showList(cursor));
addEventListener("popstate", () => {
  mark();
  showOne();
});
setInterval(() => {
  const isAwaited = isGoing || performance.now() < awaitedUntilMs;
  if (isAwaited && document.visibilityState === "visible") showOne();
}, REFRESH_MS);
showList(null);
showOne();
