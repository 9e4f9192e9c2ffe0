// One run, live, for pages that show nothing else: camera, map, clock, and its last iterations.

import { Live } from "./live.js";
import { TrackMap } from "./map.js";

const TICK_MS = 500;

export class RunView {
  session = null;
  #runId;
  #map;
  #camera;
  #clockOffsetS = 0;
  #isDrawn = false;

  /**
   * `elements` are those of the `map` and of the `camera`'s picture. `on.figures` takes the figures,
   * `on.rows` columns and rows of the last ten iterations, `on.tick` how long it has been active.
   */
  constructor(runId, elements, on) {
    this.#runId = runId;
    this.#map = new TrackMap(elements.map);
    this.#camera = elements.camera;
    const handlers = {
      hello: ({ now_s }) => {
        this.#clockOffsetS = now_s - Date.now() / 1000;
      },
      figures: (figures) => this.#take(figures, on),
      curves: ({ columns, last }) => on.rows(columns, last),
      paths: (value) => this.#map.addPaths(value),
      cars: ({ cars }) => this.#map.setCars(cars),
      camera: ({ jpeg }) => {
        this.#camera.hidden = !jpeg;
        if (jpeg) this.#camera.src = `data:image/jpeg;base64,${jpeg}`;
      },
    };
    new Live(handlers, () => {}).follow(runId);
    setInterval(() => this.#tick(on), TICK_MS);
  }

  #take(figures, on) {
    if (figures.run_id !== this.#runId) return;
    this.session = figures.session;
    on.figures(figures);
    if (!this.#isDrawn && figures.track) this.#drawTrack();
    this.#tick(on);
  }

  #tick(on) {
    if (this.session === null) return;
    const { active_s: activeS, running_since_s: sinceS } = this.session;
    const nowS = Date.now() / 1000 + this.#clockOffsetS;
    on.tick(activeS + (sinceS === null ? 0 : nowS - sinceS));
  }

  async #drawTrack() {
    this.#isDrawn = true;
    const answer = await fetch(`/v1/runs/${encodeURIComponent(this.#runId)}/track`).catch(() => null);
    if (answer?.ok) this.#map.setTrack(await answer.json());
    else this.#isDrawn = false;
  }
}

/** The run that the page's address ends with. */
export const addressedRun = () => decodeURIComponent(location.pathname.split("/").at(-1));

/** Fill a `dl` with [name, value, note]. */
export function definitions(list, pairs) {
  list.replaceChildren(...pairs.map(([name, value, note]) => {
    const row = document.createElement("div");
    const term = document.createElement("dt");
    const text = document.createElement("dd");
    const small = document.createElement("small");
    term.textContent = name;
    small.textContent = note ?? "";
    text.append(value, small);
    row.append(term, text);
    return row;
  }));
}
