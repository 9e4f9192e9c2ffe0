// Python in colours: enough of its grammar to tell words, texts, numbers and comments apart.

const KEYWORDS = new Set(
  ("and as assert async await break class continue def del elif else except finally for from global if import in "
    + "is lambda nonlocal not or pass raise return try while with yield True False None").split(" "),
);
const TOKEN = /("""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?)|(#[^\n]*)|(\b\d[\w.]*)|([A-Za-z_]\w*)/g;

/** Nodes for the text; together they have exactly its characters, and a line end behind them. */
export function highlight(text) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    const [whole, string, comment, number, word] = match;
    const kind = string ? "string" : comment ? "comment" : number ? "number" : KEYWORDS.has(word) ? "keyword" : null;
    if (kind === null) continue;
    nodes.push(text.slice(end, match.index), coloured(whole, kind));
    end = match.index + whole.length;
  }
  nodes.push(text.slice(end), "\n");
  return nodes;
}

function coloured(text, kind) {
  const span = document.createElement("span");
  span.className = kind;
  span.textContent = text;
  return span;
}
