// The page: which run is shown, and what each message of its stream does to it.

import { Camera } from "./camera.js";
import { Curves } from "./curves.js";
import { DEEDS, deedButton } from "./deeds.js";
import { Figures, clearStatus } from "./figures.js";
import { Live } from "./live.js";
import { TrackMap } from "./map.js";
import { showModel } from "./model.js";
import { Picker } from "./picker.js";
import { showServices } from "./services.js";
import { Video } from "./video.js";

const byId = (id) => document.getElementById(id);
const map = new TrackMap(byId("map"), (name, note) => {
  byId("track-title").textContent = name;
  byId("track-note").textContent = note;
});
const camera = new Camera();
const curves = new Curves(byId("curves"));
const figures = new Figures();
const video = new Video();
const picker = new Picker(byId("picker"), byId("picker-label"), (runId) => choose(runId));

const ON_PAGE = ["stop", "evaluate", "resume", "clone", "submit"];
const START = "Train the starter car. It appears here the moment it is queued.";

let shown = null; // the run on the page
let trackOf = null; // the run whose track is drawn
let modelOf = { run: null, checkpoint: null }; // what the card of the model shows
let videoOf = null; // the run whose video is offered
let deedsOf = ""; // what the buttons were made for
let isMissing = false; // whether the server knows no run of that name

const live = new Live(
  {
    hello: ({ now_s }) => figures.setClock(now_s),
    runs: ({ runs, total }) => onRuns(runs, total),
    services: ({ services }) => showServices(services),
    figures: (value) => onFigures(value),
    curves: (value) => curves.setRows(value),
    paths: (value) => map.addPaths(value),
    cars: ({ cars }) => map.setCars(cars),
    camera: (value) => camera.show(value),
  },
  (state) => {
    say(state === "live" ? "" : "Connection lost, trying again…");
    if (state === "refused" && shown !== null) explainRefusal();
  },
);

/** The run that the address names; null at `/`, which shows the latest. */
const addressed = () => location.pathname.match(/^\/runs\/([^/]+)$/)?.[1] ?? null;

function say(line) {
  byId("connection").textContent = line;
}

function choose(runId) {
  history.pushState(null, "", `/runs/${runId}`);
  show(runId);
}

function show(runId) {
  if (runId !== shown) forget();
  shown = runId;
  isMissing = false;
  picker.setChosen(runId);
  byId("mjpeg").href = `/v1/runs/${runId}/camera.mjpg`;
  byId("overlay").href = `/overlay/${runId}`;
  byId("classic").href = `/classic/${runId}`;
  showEmpty(runId);
  live.follow(runId, byId("see-saliency").checked ? "?saliency=true" : "");
}

function forget() {
  trackOf = null;
  videoOf = null;
  video.of(null);
  deedsOf = "";
  byId("said").textContent = "";
  byId("model").hidden = true;
  map.clear();
  camera.clear();
  curves.clear();
}

// At `/` the page moves on by itself when what it shows is over and another run begins.
function onRuns(runs, total) {
  picker.setRuns(runs, total);
  if (isMissing && picker.has(shown)) show(shown);
  if (addressed() !== null || runs.length === 0) return;
  const over = shown === null || (!picker.isActive(shown) && picker.hasRunning);
  if (over && picker.first !== shown) show(picker.first);
}

function onFigures(value) {
  if (value.run_id !== shown) return;
  byId("run").hidden = false;
  byId("empty").hidden = true;
  figures.show(value);
  showDeeds(value);
  if (videoOf !== shown) {
    videoOf = shown;
    video.of(shown);
  }
  say(value.complete ? "" : "Reading the run's events…");
  curves.setEvaluations(value.evaluations);
  const checkpoint = value.session.checkpoint;
  if (checkpoint !== modelOf.checkpoint || shown !== modelOf.run) {
    modelOf = { run: shown, checkpoint };
    showModel(shown, () => shown === modelOf.run);
  }
  if (trackOf !== shown && value.track) drawTrack(shown);
}

/** Buttons for what can be done with the run; the others tell why not. */
function showDeeds({ run_id: id, session }) {
  const run = { id, status: session.status, hasCheckpoint: session.checkpoint !== null };
  const made = JSON.stringify(run);
  if (made === deedsOf) return;
  deedsOf = made;
  byId("deeds").replaceChildren(...ON_PAGE.map((key) => {
    const button = deedButton(key, run, report);
    button.disabled = !DEEDS[key].fits(run);
    button.title = button.disabled ? DEEDS[key].why : "";
    return button;
  }));
}

async function report(doing) {
  try {
    byId("said").textContent = await doing;
    byId("said").dataset.kind = "done";
  } catch (error) {
    byId("said").textContent = error.message;
    byId("said").dataset.kind = "refused";
  }
}

async function drawTrack(runId) {
  trackOf = runId;
  const answer = await fetch(`/v1/runs/${runId}/track`).catch(() => null);
  if (runId !== shown) return;
  if (answer === null) {
    trackOf = null; // the server is away; the first figures after it is back ask again
    return;
  }
  const shape = await answer.json();
  if (answer.ok) map.setTrack(shape);
  else byId("track-note").textContent = shape.detail;
}

// Until the first figures come; the style lets a moment pass before it is seen.
function showEmpty(runId) {
  byId("run").hidden = true;
  byId("empty").hidden = false;
  byId("empty-title").textContent = runId === null ? "No run yet" : `Looking for ${runId}…`;
  byId("empty-text").textContent = runId === null ? START : "";
  byId("empty-command").parentElement.hidden = runId !== null;
  byId("trouble").hidden = true;
  clearStatus();
  document.title = "Slipstream";
}

/** The server refuses the stream: where there is no such run, wait for it at the list of runs. */
async function explainRefusal() {
  const runId = shown;
  const answer = await fetch(`/v1/runs/${runId}/scoreboard`).catch(() => null);
  if (answer?.status !== 404 || runId !== shown) return;
  showEmpty(runId);
  byId("empty-title").textContent = `There is no run ${runId}`;
  byId("empty-text").textContent = "It appears here the moment it is queued. Others can be picked above.";
  isMissing = true;
  live.follow(null);
}

byId("see-saliency").addEventListener("change", () => shown !== null && show(shown));
byId("trail").addEventListener("change", (event) => map.colourBy(event.target.value));
addEventListener("popstate", () => show(addressed() ?? picker.first));
show(addressed());
