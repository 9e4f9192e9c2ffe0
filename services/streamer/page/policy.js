// What the policy makes of the camera's picture: how likely each action is, and what weighs most.

import { byId, element } from "./elements.js";
import { percent } from "./format.js";

const DEGREES = 180 / Math.PI;
const NAMED = 12; // bars that have room for a name each

const side = (rad) => {
  const degrees = Math.round(Math.abs(rad) * DEGREES);
  if (degrees === 0) return "straight";
  return `${rad > 0 ? "left" : "right"} ${degrees}°`;
};

export class Policy {
  #box = byId("policy");
  #note = byId("policy-note");
  #canvas = byId("saliency");
  #shape = "";

  clear() {
    this.show(null);
  }

  show(policy) {
    this.#box.hidden = policy === null;
    this.#drawSaliency(policy?.saliency ?? null);
    if (policy === null) return;
    if (policy.actions.length > 0) this.#showActions(policy);
    else this.#showCommands(policy.commands);
  }

  #showActions({ actions, taken }) {
    const order = actions.map((_, index) => index)
      .sort((a, b) => actions[b].steering_rad - actions[a].steering_rad || actions[a].speed_mps - actions[b].speed_mps);
    this.#build(JSON.stringify([order, actions.map((a) => [a.steering_rad, a.speed_mps])]), "bars", () =>
      order.map((index) => {
        const bar = element("span", "", { class: "chance", "data-action": index });
        const { steering_rad: steering, speed_mps: speed } = actions[index];
        bar.title = `${side(steering)}, ${speed} m/s`;
        bar.append(element("span", "", { class: "fill" }));
        if (actions.length <= NAMED) bar.append(element("span", `${Math.round(steering * DEGREES)}°`), element("span", speed.toFixed(1)));
        return bar;
      }));
    for (const bar of this.#box.querySelectorAll(".chance")) {
      const index = Number(bar.dataset.action);
      bar.firstChild.style.setProperty("--share", actions[index].probability);
      bar.classList.toggle("taken", index === taken);
    }
    const likeliest = actions.reduce((best, each) => (each.probability > best.probability ? each : best));
    this.#say(`Likeliest: ${side(likeliest.steering_rad)} at ${likeliest.speed_mps} m/s, ${percent(100 * likeliest.probability)} %`);
  }

  #showCommands(commands) {
    const names = ["Steering", "Speed"];
    const units = [(value) => side(value), (value) => `${value.toFixed(2)} m/s`];
    this.#build(`${commands.length} commands`, "ranges", () => commands.map((_, index) => {
      const row = element("div", names[index], { class: "range" });
      const line = element("span", "", { class: "line" });
      line.append(...["band", "mean", "drawn"].map((part) => element("span", "", { class: part })));
      row.append(line);
      return row;
    }));
    [...this.#box.querySelectorAll(".line")].forEach((line, index) => {
      const { least, most, mean, lower, upper, taken } = commands[index];
      // Left is on the left: steering grows to the left.
      const at = (value) => (100 * (index === 0 ? most - value : value - least)) / (most - least || 1);
      const [band, middle, drawn] = line.children;
      const ends = [at(lower), at(upper)].sort((a, b) => a - b);
      band.style.left = `${ends[0]}%`;
      band.style.width = `${ends[1] - ends[0]}%`;
      middle.style.left = `${at(mean)}%`;
      drawn.style.left = `${at(taken)}%`;
    });
    this.#say(`Mean: ${commands.map(({ mean }, index) => units[index](mean)).join(" at ")}`);
  }

  #build(shape, kind, make) {
    if (shape === this.#shape) return;
    this.#shape = shape;
    byId("odds").className = kind;
    byId("odds").replaceChildren(...make());
  }

  #say(text) {
    this.#note.textContent = text;
    byId("odds").setAttribute("aria-label", text);
  }

  /** Cells of 0 to 255 over the picture: the weightier, the less transparent. */
  #drawSaliency(grid) {
    this.#canvas.hidden = grid === null;
    if (grid === null) return;
    const { rows, columns, cells } = grid;
    this.#canvas.width = columns;
    this.#canvas.height = rows;
    const context = this.#canvas.getContext("2d");
    const image = context.createImageData(columns, rows);
    const bytes = Uint8Array.from(atob(cells), (letter) => letter.charCodeAt(0));
    bytes.forEach((weight, index) => image.data.set([255, 140, 0, 0.75 * weight], 4 * index));
    context.putImageData(image, 0, 0);
  }
}
