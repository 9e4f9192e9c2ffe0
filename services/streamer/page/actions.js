// The action space as a picture: each action a dot, steering to the left and right, speed upwards.

const WIDTH = 320, HEIGHT = 190, LEFT = 34, BOTTOM = 26, TOP = 10, RIGHT = 10;
const NAMESPACE = "http://www.w3.org/2000/svg";

function shape(tag, attributes, text = "") {
  const made = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

/** Draw what `model_metadata.json` has; returns a line about it. */
export function drawActions(svg, text) {
  svg.replaceChildren();
  let space;
  try {
    space = JSON.parse(text).action_space;
  } catch {
    return "No JSON yet.";
  }
  const isList = Array.isArray(space);
  const points = isList ? space : corners(space);
  const fits = points.filter((p) => Number.isFinite(Number(p.steering_angle)) && Number.isFinite(Number(p.speed)));
  if (fits.length === 0) return "No actions yet.";
  const widest = Math.max(...fits.map((p) => Math.abs(p.steering_angle)), 1);
  const fastest = Math.max(...fits.map((p) => Number(p.speed)), 0.1);
  const x = (angle) => LEFT + ((widest - angle) / (2 * widest)) * (WIDTH - LEFT - RIGHT); // + is left
  const y = (speed) => HEIGHT - BOTTOM - (speed / fastest) * (HEIGHT - BOTTOM - TOP);
  for (const angle of [widest, 0, -widest]) {
    svg.append(shape("line", { x1: x(angle), x2: x(angle), y1: TOP, y2: HEIGHT - BOTTOM, class: "grid" }));
    svg.append(shape("text", { x: x(angle), y: HEIGHT - 8, "text-anchor": angle > 0 ? "start" : angle < 0 ? "end" : "middle" },
      `${angle > 0 ? "left " : angle < 0 ? "right " : ""}${Math.abs(angle)}°`));
  }
  for (const speed of [0, fastest]) {
    svg.append(shape("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(speed), y2: y(speed), class: "grid" }));
    svg.append(shape("text", { x: LEFT - 6, y: y(speed) + 4, "text-anchor": "end" }, String(speed)));
  }
  if (isList) {
    for (const p of fits) {
      const dot = shape("circle", { cx: x(p.steering_angle), cy: y(p.speed), r: 4.5, class: "action" });
      dot.append(shape("title", {}, `${p.steering_angle}°, ${p.speed} m/s`));
      svg.append(dot);
    }
    return `${fits.length} actions, up to ${fastest} m/s and ${widest}°`;
  }
  const [low, high] = [fits[0], fits[fits.length - 1]];
  svg.append(shape("rect", {
    x: x(high.steering_angle), y: y(high.speed), class: "action area",
    width: Math.abs(x(low.steering_angle) - x(high.steering_angle)), height: Math.abs(y(low.speed) - y(high.speed)),
  }));
  return `anything from ${low.speed} to ${high.speed} m/s and ${low.steering_angle}° to ${high.steering_angle}°`;
}

function corners(space) {
  const { steering_angle: angle, speed } = space ?? {};
  if (!angle || !speed) return [];
  return [
    { steering_angle: angle.low, speed: speed.low },
    { steering_angle: angle.high, speed: speed.high },
  ];
}
