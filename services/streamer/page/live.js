// The stream of one run, or of the list of runs: reconnects by itself for as long as the page is open.

const TOPICS = ["hello", "runs", "services", "figures", "curves", "paths", "cars", "camera"];
const RETRY_MS = 1000;
const RETRY_MAX_MS = 8000;

export class Live {
  #source = null;
  #timer = null;
  #path = null;
  #retryMs = RETRY_MS;
  #handlers;
  #onState;

  /** `handlers` maps a topic to what takes its value; `onState` hears "live", "lost" or "refused". */
  constructor(handlers, onState) {
    this.#handlers = handlers;
    this.#onState = onState;
  }

  /** Leave the present stream and follow this run, or with null the list of runs. */
  follow(runId, query = "") {
    this.#path = runId === null ? "/v1/live" : `/v1/live/${encodeURIComponent(runId)}${query}`;
    this.#open();
  }

  #open() {
    clearTimeout(this.#timer);
    this.#source?.close();
    const source = new EventSource(this.#path);
    this.#source = source;
    source.onopen = () => {
      this.#retryMs = RETRY_MS;
      this.#onState("live");
    };
    source.onerror = () => this.#lost(source);
    for (const topic of TOPICS) {
      source.addEventListener(topic, (event) => this.#handlers[topic]?.(JSON.parse(event.data)));
    }
  }

  // The browser retries a connection that breaks, but gives one up that is refused (a 503 while
  // the server starts).
  #lost(source) {
    if (source !== this.#source) return;
    const refused = source.readyState === EventSource.CLOSED;
    this.#onState(refused ? "refused" : "lost");
    if (!refused) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), this.#retryMs);
    this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MAX_MS);
  }
}
