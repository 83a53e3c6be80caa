// Building elements, and drawing only what has changed, so that focus and scrolling stay where they are.

export function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

const drawn = new WeakMap();

export function draw(node, state, build) {
  const key = JSON.stringify(state);
  if (drawn.get(node) === key) return;
  drawn.set(node, key);
  const focused = node.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const places = [...node.querySelectorAll(".scroll")].map((box) => [box.scrollLeft, box.scrollTop]);
  node.replaceChildren(...[build()].flat(Infinity).filter(Boolean));
  node.querySelectorAll(".scroll").forEach((box, n) => places[n] && box.scrollTo(...places[n]));
  if (focused) node.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

// What a status looks like: never by colour alone.
const MARKS = {
  done: "✓", completed: "✓", skipped: "»", running: "▶", requested: "◌", waiting: "·", retrying: "↻", failed: "✕",
  blocked: "⊘", cancelled: "–", undone: "↶", not_undone: "!", paused: "❚❚", planned: "◔", described: "◔", refused: "✕",
  compensating: "↶", rolled_back: "↶", ready: "●", busy: "▶", draining: "◓", silent: "?", lost: "✕", left: "–",
};
const TONES = {
  done: "good", completed: "good", skipped: "good", ready: "good", running: "live", busy: "live", requested: "live",
  retrying: "warn", paused: "warn", draining: "warn", silent: "warn", compensating: "warn", rolled_back: "warn",
  undone: "warn", failed: "bad", refused: "bad", blocked: "bad", not_undone: "bad", lost: "bad",
};

export const mark = (status) => MARKS[status] ?? "·";
export const tone = (status) => TONES[status] ?? "calm";
export const words = (text) => String(text ?? "").replaceAll("_", " ");

export function chip(status) {
  return el("span", { class: `chip ${tone(status)}` }, el("span", { "aria-hidden": "true" }, mark(status)), ` ${words(status)}`);
}

export function bar(share, label, kind = "") {
  const percent = Math.max(0, Math.min(100, 100 * share));
  const width = percent.toFixed(1);
  return el(
    "div",
    { class: `bar ${kind}`, role: "progressbar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(percent) },
    svg("svg", { viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", { width, height: 1 })),
  );
}

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 90) return `${value.toFixed(1)} s`;
  return value < 5400 ? `${Math.round(value / 60)} min` : `${(value / 3600).toFixed(1)} h`;
}

export const percent = (value) => (value === null || value === undefined ? "–" : `${Math.round(100 * value)} %`);
export const time = (iso) => (iso ? new Date(iso).toLocaleTimeString([], { hour12: false }) : "");
export const short = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);
