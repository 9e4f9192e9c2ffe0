// Hyperparameters one by one, each with its range; the text of the file stays what counts.

import { get } from "./api.js";
import { byId, element } from "./elements.js";

const LATER_MS = 250;
const MODEL = { neural_network: "DEEP_CONVOLUTIONAL_NETWORK_SHALLOW", training_algorithm: "clipped_ppo", version: "5" };

const parsed = (text) => {
  try {
    return JSON.parse(text.trim() || "{}");
  } catch {
    return null;
  }
};

export class Knobs {
  #file = byId("hyperparameters");
  #model = byId("metadata");
  #box = byId("knobs");
  #timer = null;
  #asked = "";
  #found = [];

  constructor() {
    for (const area of [this.#file, this.#model]) area.addEventListener("input", () => this.soon());
    byId("knobs-box").addEventListener("toggle", () => this.soon());
    byId("preset").addEventListener("change", (event) => this.#set("preset", event.target.value));
  }

  /** Show what the files say, a moment after they changed. */
  soon() {
    clearTimeout(this.#timer);
    if (byId("knobs-box").open) this.#timer = setTimeout(() => this.#show(), LATER_MS);
  }

  async #show() {
    const given = parsed(this.#file.value);
    byId("knobs-note").textContent = given === null ? "The text above is no JSON." : "Empty: as the preset has it.";
    if (given === null) return;
    byId("preset").value = given.preset ?? "deepracer";
    await this.#ask(given.preset ?? "deepracer");
    for (const knob of this.#found) this.#fill(knob, given[knob.name]);
  }

  async #ask(preset) {
    const { neural_network, training_algorithm, version } = { ...MODEL, ...parsed(this.#model.value) };
    const query = String(new URLSearchParams({ preset, neural_network, training_algorithm, version }));
    if (query === this.#asked) return;
    try {
      this.#found = await get(`hyperparameters?${query}`);
      this.#asked = query;
    } catch (error) {
      byId("knobs-note").textContent = error.message;
      return;
    }
    const names = this.#found.map(({ name }) => name).join();
    if (names === this.#box.dataset.names) return;
    this.#box.dataset.names = names;
    this.#box.replaceChildren(...this.#found.map((knob) => this.#control(knob)));
  }

  #control({ name, kind, least, most, above, below, choices, console: official }) {
    const label = element("label", name);
    let input;
    if (kind === "choice" || kind === "switch") {
      input = element("select");
      const options = kind === "switch" ? ["true", "false"] : choices;
      input.append(new Option("", ""), ...options.map((choice) => new Option(choice, choice)));
    } else {
      input = element("input", "", { type: "number", step: kind === "integer" ? "1" : "any" });
      if ((least ?? above) !== null) input.min = least ?? above;
      if ((most ?? below) !== null) input.max = most ?? below;
    }
    input.id = `knob-${name}`;
    input.setAttribute("form", "no-form"); // it does not hold the form back unseen: the check tells
    input.addEventListener("change", () => {
      if (input.validity.badInput) return;
      const isText = kind === "choice" || input.value === "";
      this.#set(name, input.value === "" ? undefined : isText ? input.value : JSON.parse(input.value));
    });
    const low = least !== null ? `from ${least}` : above !== null ? `above ${above}` : "";
    const high = most !== null ? `to ${most}` : below !== null ? `below ${below}` : "";
    const note = [low, high].filter(Boolean).join(" ") + (official ? `; DeepRacer ${official[0]} to ${official[1]}` : "");
    label.append(input, element("small", note));
    return label;
  }

  #fill({ name, value, kind }, given) {
    const input = byId(`knob-${name}`);
    const preset = value === null ? "none" : String(value);
    if (kind === "choice" || kind === "switch") input.options[0].textContent = preset;
    else input.placeholder = preset;
    input.value = given === undefined || given === null ? "" : String(given);
  }

  #set(name, value) {
    const given = parsed(this.#file.value);
    if (given === null) return;
    if (value === undefined) delete given[name];
    else given[name] = value;
    this.#file.value = JSON.stringify(given, null, 2);
    this.soon();
  }
}
