// Making and finding elements.

export const byId = (id) => document.getElementById(id);

export function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** An element of a picture. */
export function shape(tag, attributes = {}, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

/** A row of a table: the first cell names it, numbers stand to the right. */
export function tableRow(cells) {
  const line = element("tr");
  line.append(...cells.map((cell, index) => {
    const made = element(index === 0 ? "th" : "td", "", index === 0 ? { scope: "row" } : {});
    const { node, number } = cell?.node !== undefined ? cell : { node: cell };
    if (number) made.className = "number";
    made.append(node ?? "");
    return made;
  }));
  return line;
}

export const numeric = (node) => ({ node, number: true });
