// The track from above: the road, the last paths, where cars left it, and every car as it drives.

const SVG = "http://www.w3.org/2000/svg";
// Okabe and Ito's palette, told apart by colour-blind eyes too.
const COLOURS = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#8a94a3"];
const GLIDE_MS = 140; // poses come every 100 ms
const JUMP_M = 3; // further than a car gets between two poses: it was put back to a start
const PATHS = 12;
const EXITS = 200;
const CAR_M = [0.42, 0.2];
// From blue over grey to orange: told apart by colour-blind eyes, and seen on light roads and on dark ones.
const SCALE = ["#2b6cd4", "#416fc3", "#5672b1", "#6c75a0", "#81788f", "#957b79", "#a87d60", "#bb7e47", "#cd802d", "#e08214"];
const MEASURES = {
  speed: { of: (path) => path.speeds_mps, unit: "m/s" },
  reward: { of: (path) => path.rewards, unit: "a step" },
};

export class TrackMap {
  #svg;
  #layers = {};
  #cars = new Map();
  #gliding = false;
  #scale = 1; // cars are drawn larger than life on large tracks
  #shape = null;
  #paths = [];
  #measure = null; // what trails are coloured by; null is how their episodes ended
  #onDescribed;

  /** `onDescribed` hears the track's name, and a line about it and its cars. */
  constructor(svg, onDescribed = () => {}) {
    this.#svg = svg;
    this.#onDescribed = onDescribed;
    const world = node("g", { transform: "scale(1,-1)" });
    for (const name of ["road", "exits", "paths", "cars"]) {
      this.#layers[name] = node("g", { class: `layer-${name}` });
      world.append(this.#layers[name]);
    }
    svg.append(world);
  }

  clear() {
    this.#shape = null;
    this.#paths = [];
    this.#cars.clear();
    for (const layer of Object.values(this.#layers)) layer.replaceChildren();
  }

  /** Draw the road; `shape` is what `/v1/runs/{id}/track` gives. */
  setTrack(shape) {
    this.#shape = shape;
    const [xMin, yMin, xMax, yMax] = shape.bounds_m;
    const margin = 0.04 * Math.max(xMax - xMin, yMax - yMin);
    this.#scale = Math.max(1, Math.max(xMax - xMin, yMax - yMin) / 11);
    this.#svg.setAttribute(
      "viewBox",
      [xMin - margin, -yMax - margin, xMax - xMin + 2 * margin, yMax - yMin + 2 * margin].join(" "),
    );
    this.#layers.road.replaceChildren(...roadOf(shape, this.#scale));
    this.#describe();
  }

  /** Add the paths that are new; `afresh` forgets those that are drawn. */
  addPaths({ afresh, paths, exits }) {
    if (afresh) this.#layers.exits.replaceChildren();
    this.#layers.exits.append(...exits.map((point) => crossAt(point, 0.045 * this.#scale)));
    keepLast(this.#layers.exits, EXITS);
    this.#paths = [...(afresh ? [] : this.#paths), ...paths].slice(-PATHS);
    this.#drawPaths();
  }

  /** Colour the trails by "outcome", "speed" or "reward". */
  colourBy(name) {
    this.#measure = MEASURES[name] ?? null;
    for (const item of document.querySelectorAll("[data-trail]")) {
      item.hidden = (item.dataset.trail === "scale") !== (this.#measure !== null);
    }
    this.#drawPaths();
  }

  #drawPaths() {
    const measure = this.#measure;
    const range = measure === null ? null : rangeOf(this.#paths.flatMap(measure.of));
    const drawn = this.#paths.map((path) => (measure === null ? pathOf(path) : scaledPath(path, measure.of(path), range)));
    drawn.forEach((path, i) => path.setAttribute("opacity", (0.15 + (0.6 * (i + 1)) / drawn.length).toFixed(2)));
    this.#layers.paths.replaceChildren(...drawn);
    if (range === null) return;
    const text = (value) => `${Number(value.toPrecision(2))} ${measure.unit}`;
    document.getElementById("scale-least").textContent = text(range[0]);
    document.getElementById("scale-most").textContent = text(range[1]);
  }

  /** Where all cars are now; those that are not named are gone. */
  setCars(cars) {
    const now = performance.now();
    const named = new Set(cars.map((car) => car.key));
    for (const [key, car] of this.#cars) {
      if (named.has(key)) continue;
      car.element.remove();
      this.#cars.delete(key);
    }
    for (const pose of cars) this.#moveCar(pose, now);
    this.#describe();
    this.#glide();
  }

  #moveCar(pose, now) {
    let car = this.#cars.get(pose.key);
    if (!car) {
      car = { element: carOf(pose, this.#scale), from: pose, to: pose, since: now, episode: pose.episode };
      this.#cars.set(pose.key, car);
      this.#layers.cars.append(car.element);
      // The car of the camera lies on top.
      if (pose.car !== 0) this.#layers.cars.prepend(car.element);
    }
    const jumped = Math.hypot(pose.x_m - car.to.x_m, pose.y_m - car.to.y_m) > JUMP_M;
    car.from = jumped ? pose : between(car, now);
    car.to = pose;
    car.since = now;
    const title = `car ${pose.car}: ${pose.progress_pct.toFixed(0)} %, ${pose.speed_mps.toFixed(1)} m/s, episode ${pose.episode}`;
    car.element.querySelector("title").textContent = title;
  }

  #glide() {
    if (this.#gliding) return;
    this.#gliding = true;
    const step = (now) => {
      let moving = false;
      for (const car of this.#cars.values()) {
        place(car.element, between(car, now));
        moving ||= now - car.since < GLIDE_MS;
      }
      this.#gliding = moving;
      if (moving) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  #describe() {
    if (!this.#shape) return;
    const { name, length_m } = this.#shape;
    const cars = this.#cars.size;
    const driving = cars === 0 ? "no car drives now" : `${cars} ${cars === 1 ? "car drives" : "cars drive"}`;
    this.#svg.setAttribute("aria-label", `Map of ${name}, ${length_m.toFixed(1)} metres; ${driving}`);
    this.#onDescribed(name, `${length_m.toFixed(1)} m · ${driving}`);
  }
}

function node(name, attributes = {}) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

const line = (points, closed) => `M${points.map(([x, y]) => `${x} ${y}`).join("L")}${closed ? "Z" : ""}`;

function roadOf(shape, scale) {
  const { inner, outer, centre, closed } = shape;
  const surface = closed ? line(outer, true) + line(inner, true) : line([...outer, ...[...inner].reverse()], true);
  const [[x1, y1], [x2, y2]] = [inner[0], outer[0]];
  return [
    node("path", { class: "road", d: surface }),
    node("path", { class: "centre", d: line(centre, closed) }),
    node("line", { class: "start", x1, y1, x2, y2 }),
    arrowOf(shape, scale),
  ];
}

/** A small arrow past the start line, the way the cars drive. */
function arrowOf({ centre, clockwise }, scale) {
  const n = centre.length;
  const at = clockwise ? n - 3 : 3;
  const [a, b] = [centre[at % n], centre[(at + (clockwise ? n - 1 : 1)) % n]];
  const heading = (Math.atan2(b[1] - a[1], b[0] - a[0]) * 180) / Math.PI;
  const size = 0.1 * scale;
  return node("path", {
    class: "direction",
    d: `M${-size} ${-size}L${size} 0L${-size} ${size}Z`,
    transform: `translate(${a[0]} ${a[1]}) rotate(${heading})`,
  });
}

function pathOf({ points, status, episode }) {
  const path = node("path", { class: "path", d: line(points, false), "data-status": status });
  const title = node("title");
  title.textContent = `episode ${episode}`;
  path.append(title);
  return path;
}

function rangeOf(values) {
  return values.length === 0 ? [0, 1] : [Math.min(...values), Math.max(...values)];
}

/** A path in pieces, each in the colour of what it was like there. */
function scaledPath({ points, episode }, values, [least, most]) {
  const group = node("g");
  const shade = (value) => Math.min(Math.floor((SCALE.length * (value - least)) / (most - least || 1)), SCALE.length - 1);
  let begin = 0;
  for (let at = 1; at < points.length; at += 1) {
    const next = at + 1 < points.length ? shade(values[at + 1]) : null;
    if (next === shade(values[at])) continue;
    group.append(node("path", { class: "path scaled", d: line(points.slice(begin, at + 1), false), style: `stroke:${SCALE[shade(values[at])]}` }));
    begin = at;
  }
  const title = node("title");
  title.textContent = `episode ${episode}`;
  group.append(title);
  return group;
}

const crossAt = ([x, y], size) =>
  node("path", { class: "exit", d: `M${x - size} ${y - size}l${2 * size} ${2 * size}m0 ${-2 * size}l${-2 * size} ${2 * size}` });

function carOf(pose, scale) {
  const [length, width] = CAR_M.map((size) => size * scale);
  const car = node("g", { class: "car", "data-car": pose.key });
  const body = { x: -length / 2, y: -width / 2, width: length, height: width, rx: width / 3 };
  if (pose.car === 0) car.append(node("circle", { class: "halo", r: length * 0.72 }));
  car.append(
    node("rect", { class: "body", ...body, fill: COLOURS[pose.car % COLOURS.length] }),
    node("rect", { class: "nose", x: length * 0.12, y: -width * 0.32, width: length * 0.16, height: width * 0.64, rx: width / 10 }),
    node("title"),
  );
  return car;
}

function place(element, { x_m, y_m, heading_rad }) {
  const degrees = (heading_rad * 180) / Math.PI;
  element.setAttribute("transform", `translate(${x_m.toFixed(3)} ${y_m.toFixed(3)}) rotate(${degrees.toFixed(1)})`);
}

/** The pose of a car on its way from the last pose to the newest. */
function between({ from, to, since }, now) {
  const part = Math.min(Math.max((now - since) / GLIDE_MS, 0), 1);
  const turn = Math.atan2(Math.sin(to.heading_rad - from.heading_rad), Math.cos(to.heading_rad - from.heading_rad));
  return {
    x_m: from.x_m + (to.x_m - from.x_m) * part,
    y_m: from.y_m + (to.y_m - from.y_m) * part,
    heading_rad: from.heading_rad + turn * part,
  };
}

function keepLast(layer, size) {
  while (layer.children.length > size) layer.firstChild.remove();
}
