// What the first car sees, and since when it sees nothing new.

import { Policy } from "./policy.js";

const OLD_AFTER_MS = 3000;

export class Camera {
  #image = document.getElementById("camera");
  #empty = document.getElementById("camera-empty");
  #note = document.getElementById("camera-note");
  #title = document.getElementById("camera-title");
  #policy = new Policy();
  #seenAtMs = -Infinity;

  constructor() {
    setInterval(() => this.#age(), 500);
  }

  clear() {
    this.show({ jpeg: "", car: 0, policy: null });
  }

  show({ jpeg, car, policy }) {
    this.#policy.show(policy);
    this.#image.hidden = !jpeg;
    this.#empty.hidden = Boolean(jpeg);
    this.#note.textContent = "";
    this.#title.textContent = `Camera of car ${car}`;
    if (!jpeg) return;
    this.#image.src = `data:image/jpeg;base64,${jpeg}`;
    this.#image.classList.remove("old");
    this.#seenAtMs = performance.now();
  }

  #age() {
    if (this.#image.hidden || performance.now() - this.#seenAtMs < OLD_AFTER_MS) return;
    this.#image.classList.add("old");
    this.#note.textContent = "last picture; nobody drives now";
  }
}
