// Video of a run: on the air, and films of past episodes.

import { Refused, encoded } from "./api.js";
import { byId, element } from "./elements.js";
import { count, duration } from "./format.js";

const LOOK_MS = 2000;
const VIEWS = {
  "camera-pip": "from behind, with a map", "camera-45degree": "from behind",
  "camera-topview": "from above", "camera-front": "what the car saw",
};

async function call(method, path, body) {
  const options = { method, headers: body ? { "Content-Type": "application/json" } : {}, body: body && JSON.stringify(body) };
  const answer = await fetch(`/v1/${path}`, options).catch(() => null);
  if (answer === null) throw new Refused(["The server does not answer."]);
  const value = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Refused(value.errors ?? [value.detail ?? answer.statusText]);
  return value;
}

export class Video {
  #run = null;
  #timer = null;
  #drawn = "";

  constructor() {
    byId("video").addEventListener("toggle", () => this.#look());
    byId("target").addEventListener("change", () => this.#showAddress());
    byId("episode-of").addEventListener("change", () => this.#showNumber());
    byId("broadcast-form").addEventListener("submit", (event) => this.#submit(event, () => this.#broadcast()));
    byId("film-form").addEventListener("submit", (event) => this.#submit(event, () => this.#film()));
    this.#showAddress();
    this.#showNumber();
  }

  /** Which run it is of; null is none. Nothing is asked for while the section is closed. */
  of(runId) {
    this.#run = runId;
    this.#drawn = "";
    byId("broadcasts").replaceChildren();
    byId("films").replaceChildren();
    byId("video-trouble").textContent = "";
    this.#look();
  }

  #showAddress() {
    const isHls = byId("target").value === "hls";
    byId("address-label").hidden = isHls;
    byId("address").required = !isHls;
    byId("address").placeholder = byId("target").value === "udp" ? "udp://127.0.0.1:10000" : "rtmps://host/app/{key}";
  }

  #showNumber() {
    const isBest = byId("episode-of").value.endsWith("best");
    byId("number-label").hidden = isBest;
    byId("number").required = !isBest;
  }

  async #submit(event, doing) {
    event.preventDefault();
    const trouble = byId("video-trouble");
    trouble.textContent = "";
    try {
      await doing();
    } catch (error) {
      trouble.textContent = error.message;
    }
    await this.#look();
  }

  #broadcast() {
    const target = byId("target").value === "hls" ? "hls" : byId("address").value.trim();
    return call("POST", `runs/${encoded(this.#run)}/broadcasts`, { target, size: byId("video-size").value });
  }

  #film() {
    const [phase, which] = byId("episode-of").value.split(" ");
    const episode = which === "best" ? "best" : Number(byId("number").value);
    return call("POST", `runs/${encoded(this.#run)}/films`, {
      phase, episode, view: byId("view").value, size: byId("film-size").value,
    });
  }

  async #look() {
    clearTimeout(this.#timer);
    const run = this.#run;
    if (run === null || !byId("video").open) return;
    try {
      const [broadcasts, { films }] = await Promise.all([call("GET", "broadcasts"), call("GET", `runs/${encoded(run)}/films`)]);
      if (run !== this.#run) return;
      this.#draw(broadcasts.filter((each) => each.run_id === run), films);
    } catch (error) {
      byId("video-trouble").textContent = error.message;
    }
    this.#timer = setTimeout(() => this.#look(), LOOK_MS);
  }

  #draw(broadcasts, films) {
    byId("broadcasts").replaceChildren(...broadcasts.map((each) => this.#broadcastItem(each)));
    const made = JSON.stringify(films);
    if (made === this.#drawn) return; // a film that plays goes on
    this.#drawn = made;
    byId("films").replaceChildren(...films.map((film) => this.#filmItem(film)));
  }

  #broadcastItem({ id, target, size, state, frames_per_s: pace, restarts, problem, playlist, on_air_since_s: since }) {
    const item = element("li", "", { "data-state": state });
    const parts = [
      `${state}${since === null ? "" : ` for ${duration(Date.now() / 1000 - since)}`}`, size,
      ...(pace ? [`${pace} frames/s`] : []), ...(restarts ? [`begun again ${count(restarts)} times`] : []),
    ];
    item.append(element("strong", target), ` ${parts.join(" · ")} `);
    if (playlist !== null) item.append(element("a", "playlist", { href: playlist }), " ");
    const stop = element("button", "Stop", { type: "button", "aria-label": `Stop the broadcast to ${target}` });
    stop.addEventListener("click", (event) => this.#submit(event, () => call("DELETE", `broadcasts/${encoded(id)}`)));
    item.append(stop);
    if (problem) item.append(element("p", problem, { class: "problem" }));
    return item;
  }

  #filmItem({ state, wish, episode, path, duration_s: length, size_bytes: size, reason }) {
    const item = element("li", "", { "data-state": state });
    const number = episode ?? wish.episode;
    const what = `${wish.phase === "evaluation" ? "evaluation, trial" : "episode"} ${number}, ${VIEWS[wish.view]}`;
    if (state !== "made") {
      item.append(element("strong", what), ` ${state}`);
      if (reason) item.append(element("p", reason, { class: "problem" }));
      return item;
    }
    const address = `/api/models/${encoded(this.#run)}/files/${path}`;
    const play = element("button", "Play", { type: "button", "aria-label": `Play ${what}` });
    play.addEventListener("click", () => {
      const film = element("video", "", { src: address, controls: "", autoplay: "", playsinline: "" });
      film.muted = true;
      play.replaceWith(film);
    });
    item.append(
      element("a", what, { href: address, download: `${this.#run}-${path.replaceAll("/", "-")}` }),
      ` ${length.toFixed(1)} s · ${(size / 1e6).toFixed(1)} MB `, play,
    );
    return item;
  }
}
