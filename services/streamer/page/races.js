// The local league: who drives what the fastest.

import { encoded, get } from "./api.js";
import { byId, element, numeric, tableRow } from "./elements.js";
import { NOTHING, count, lapTime } from "./format.js";

const when = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "short" });
const KINDS = {
  time_trial: "time trial", object_avoidance: "objects", head_to_bot: "bots", head_to_model: "head to head",
};

const seconds = (value) => (value === null ? NOTHING : `${lapTime(value)} s`);

function title({ board, models }) {
  const kind = board.others > 0 ? `${KINDS[board.type]} (${board.others})` : KINDS[board.type];
  const laps = board.rules === "race" ? `${board.laps} ${board.laps === 1 ? "lap" : "laps"} by race rules` : "clean laps";
  const way = board.direction === "counterclockwise" ? "" : `, ${board.direction}`;
  return `${board.track}${way} · ${kind} · ${laps} · ${models} ${models === 1 ? "model" : "models"}`;
}

function complain(error) {
  byId("trouble").hidden = error === null;
  byId("trouble").textContent = error?.message ?? "";
}

async function showBoards() {
  try {
    const { items } = await get("races");
    byId("none").hidden = items.length > 0;
    byId("standings").hidden = items.length === 0;
    byId("board").replaceChildren(...items.map((each) => new Option(title(each), each.board.id)));
    const asked = new URLSearchParams(location.search).get("board");
    if (items.some(({ board }) => board.id === asked)) byId("board").value = asked;
    complain(null);
    await showPlaces();
  } catch (error) {
    complain(error);
  }
}

async function showPlaces() {
  const board = byId("board").value;
  if (!board) return;
  try {
    const by = byId("by").value;
    const found = await get(`races/${encoded(board)}?by=${by}`);
    history.replaceState(null, "", `/races?board=${encoded(board)}`);
    byId("places").replaceChildren(...found.places.map((place) => row(place, by)));
    byId("standings-note").textContent = rules(found.board);
    complain(null);
  } catch (error) {
    complain(error);
  }
}

function rules(board) {
  if (board.rules === "clean") return "A trial ends where the car breaks a rule.";
  return `${board.off_track_penalty_s} s for leaving the road, ${board.crash_penalty_s} s for a crash; lap times contain them.`;
}

function row(place, by) {
  const model = element("a", place.run, { href: `/models?run=${encoded(place.run)}` });
  const behind = by === "fewest_resets" ? `${place.gap?.toFixed(2)} a trial` : `${place.gap?.toFixed(2)} s`;
  const line = tableRow([
    place.position === null ? "no lap" : String(place.position),
    model,
    place.checkpoint,
    numeric(seconds(place.best_lap_s)),
    numeric(seconds(place.average_lap_s)),
    numeric(place.gap === null ? NOTHING : place.gap === 0 ? "leads" : behind),
    numeric(`${place.completed} of ${place.trials}`),
    numeric(count(place.resets)),
    numeric(count(place.entries)),
    when.format(new Date(place.at)),
  ]);
  line.dataset.run = place.run;
  return line;
}

byId("board").addEventListener("change", showPlaces);
byId("by").addEventListener("change", showPlaces);
showBoards();
