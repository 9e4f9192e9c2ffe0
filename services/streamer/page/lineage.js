// Which model came of which: a tree from the left to the right, and the same in words.

import { encoded } from "./api.js";
import { byId, element, shape } from "./elements.js";
import { NOTHING, lapTime } from "./format.js";

const [WIDTH, HEIGHT, ACROSS, DOWN, MARGIN] = [210, 46, 70, 14, 6];
const LETTERS = 25;
const SHOWN_CHARS = 60;

const short = (text) => (text.length > LETTERS ? `${text.slice(0, LETTERS - 1)}…` : text);

/** Where each run stands: its generation, and its place from the top; parents beside their first child. */
function placed({ relatives, descents }) {
  const parents = new Map(descents.map(({ parent, child }) => [child, parent]));
  const places = new Map();
  let next = 0;
  const names = new Set(relatives.map(({ run }) => run));
  const children = (run) => relatives.filter((each) => parents.get(each.run) === run).map((each) => each.run);
  const walk = (run, generation) => {
    const own = children(run);
    const above = next;
    own.forEach((child) => walk(child, generation + 1));
    if (own.length === 0) next += 1;
    places.set(run, { generation, row: own.length === 0 ? above : places.get(own[0]).row });
  };
  for (const { run } of relatives) if (!names.has(parents.get(run))) walk(run, 0);
  return { places, rows: next };
}

export function drawLineage(lineage) {
  const { places, rows } = placed(lineage);
  const generations = 1 + Math.max(...[...places.values()].map(({ generation }) => generation));
  const svg = byId("lineage");
  const size = [generations * (WIDTH + ACROSS) - ACROSS + 2 * MARGIN, rows * (HEIGHT + DOWN) - DOWN + 2 * MARGIN];
  svg.setAttribute("viewBox", `0 0 ${size[0]} ${size[1]}`);
  svg.setAttribute("width", size[0]);
  svg.setAttribute("height", size[1]);
  const at = (run) => {
    const { generation, row } = places.get(run);
    return [MARGIN + generation * (WIDTH + ACROSS), MARGIN + row * (HEIGHT + DOWN)];
  };
  svg.replaceChildren(
    ...lineage.descents.filter(({ parent, child }) => places.has(parent) && places.has(child)).map((descent) => edge(descent, at)),
    ...lineage.relatives.map((relative) => box(relative, at(relative.run))),
  );
  const alone = lineage.relatives.length === 1;
  const left = lineage.left_off > 0 ? ` ${lineage.left_off} more descendants are not shown.` : "";
  byId("lineage-note").textContent = alone ? "It began with nothing, and nothing began with it." : `${lineage.relatives.length} runs.${left}`;
  svg.parentElement.hidden = alone;
  byId("descents").replaceChildren(...lineage.descents.map(inWords));
}

function edge({ parent, child, differences, compared }, at) {
  const [[x1, y1], [x2, y2]] = [at(parent), at(child)];
  const [left, right, from, to] = [x1 + WIDTH, x2, y1 + HEIGHT / 2, y2 + HEIGHT / 2];
  const middle = (left + right) / 2;
  const group = shape("g");
  const line = shape("path", { d: `M${left},${from} C${middle},${from} ${middle},${to} ${right},${to}` });
  const told = compared ? `${differences.length}` : "?";
  group.append(line, shape("text", { x: right - 8, y: to - 6, "text-anchor": "end", class: "quiet-text" }, `Δ ${told}`));
  return group;
}

function box({ run, relation, deleted, status, track, best_lap_s: lap }, [x, y]) {
  const group = shape("a", deleted ? {} : { href: `/models?run=${encoded(run)}` });
  group.dataset.relation = relation;
  group.dataset.deleted = deleted;
  const note = deleted ? "deleted" : [status, track, lap === null ? null : `${lapTime(lap)} s`].filter(Boolean).join(" · ");
  group.append(
    shape("title", {}, `${run}: ${note}`),
    shape("rect", { x, y, width: WIDTH, height: HEIGHT, rx: 7 }),
    shape("text", { x: x + 10, y: y + 19 }, short(run)),
    shape("text", { x: x + 10, y: y + 36, class: "quiet-text" }, short(note)),
  );
  return group;
}

function inWords({ parent, child, checkpoint, asked_for: asked, compared, differences }) {
  const item = element("li");
  const what = checkpoint ? `checkpoint ${checkpoint} (${asked})` : `the checkpoint “${asked}”`;
  item.append(element("strong", child), ` began with ${what} of `, element("strong", parent), compared
    ? differences.length === 0 ? ", with nothing changed." : ". Changed:"
    : ", which is deleted.");
  if (differences.length > 0) {
    const list = element("ul");
    list.append(...differences.map(changed));
    item.append(list);
  }
  return item;
}

function changed({ setting, area, values: [before, after], diff }) {
  const item = element("li");
  const long = (value) => (value ?? "").includes("\n") || (value ?? "").length > SHOWN_CHARS;
  if (!long(before) && !long(after)) {
    item.textContent = `${setting}: ${before ?? NOTHING} → ${after ?? NOTHING}`;
    return item;
  }
  const details = element("details");
  details.append(element("summary", `${area}: ${setting}`), element("pre", diff.length ? diff.join("\n") : `${before ?? NOTHING}\n→\n${after ?? NOTHING}`));
  item.append(details);
  return item;
}
