// Who lives and who does not; each tells more of itself when it is opened.

import { element } from "./elements.js";
import { NOTHING, duration } from "./format.js";

const opened = new Set(); // instances whose details are open

export function showServices(services) {
  const list = document.getElementById("services");
  const items = services.length ? services.map(item) : [nobody()];
  const focused = document.activeElement?.closest("#services li")?.dataset.instance;
  list.replaceChildren(...items);
  if (focused) list.querySelector(`[data-instance="${CSS.escape(focused)}"] summary`)?.focus();
}

function item({ service, instance, state, started_at_s: startedAtS, reasons, detail }) {
  const line = element("li", "", { "data-state": state, "data-service": service, "data-instance": instance });
  const details = element("details");
  details.open = opened.has(instance);
  details.addEventListener("toggle", () => (details.open ? opened.add(instance) : opened.delete(instance)));
  const name = /-\d+$/.test(instance) && instance.startsWith(service) ? instance : service;
  const more = [
    ["Replica", instance],
    ["Up for", duration(Date.now() / 1000 - startedAtS)],
    ...(reasons.length ? [["Not ready", reasons.join("; ")]] : []),
    ...Object.entries(detail).map(([key, value]) => [key.replaceAll("_", " "), asText(value)]),
  ];
  const rows = element("dl");
  rows.append(...more.map(([term, value]) => {
    const row = element("div");
    row.append(element("dt", term), element("dd", value, { class: "small" }));
    return row;
  }));
  details.append(element("summary", state === "ready" ? name : `${name}: ${state}`), rows);
  line.append(details);
  return line;
}

function asText(value) {
  if (value === null || value === "" || (Array.isArray(value) && value.length === 0)) return NOTHING;
  if (Array.isArray(value)) return value.map(asText).join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function nobody() {
  return element("li", "no heartbeat yet", { "data-state": "silent" });
}
