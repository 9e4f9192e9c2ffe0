// The trainer's API, through the server of this page.

/** What the API refused: every problem that it names. */
export class Refused extends Error {
  constructor(problems) {
    super(problems.join("; "));
    this.problems = problems;
  }
}

export async function ask(method, path, body) {
  const options = { method };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { "Content-Type": "application/json" };
  }
  const answer = await fetch(`/api/${path}`, options).catch(() => null);
  if (answer === null) throw new Refused(["The server does not answer."]);
  const kind = answer.headers.get("Content-Type") ?? "";
  const value = kind.includes("json") ? await answer.json() : await answer.text();
  if (!answer.ok) throw new Refused(value.errors ?? [value.detail ?? `${answer.status} ${answer.statusText}`]);
  return value;
}

export const get = (path) => ask("GET", path);
export const encoded = (part) => encodeURIComponent(part);
