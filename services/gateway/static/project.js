// One project: where it stands, its tasks as a graph and as a table, and what may be done about it.

import { get, post } from "./api.js";
import { bar, chip, draw, el, percent, seconds, time, words } from "./dom.js";
import { graph } from "./graph.js";

const ROWS = 200;
const OPEN = ["running", "paused", "compensating"];

export async function showProject(node, id, again) {
  const path = `/v1/projects/${encodeURIComponent(id)}`;
  let view;
  try {
    view = await get(path);
  } catch (error) {
    if (error.status !== 404) throw error;
    draw(node, error.message, () => [el("h2", {}, "Project"), el("p", { class: "quiet" }, error.message)]);
    return;
  }
  const order = async (verb, body) => {
    try {
      await post(`${path}/${verb}`, body);
    } catch (error) {
      alert(error.message);
    }
    again();
  };
  draw(node, view, () => [head(view, order), facts(view), progress(view), graph(view.tasks, view.plan?.critical_path ?? []), table(view, order), points(view, order)]);
}

function head(view, order) {
  const may = [];
  if (view.status === "planned" && !view.approved) may.push(["Approve", () => order("approve")]);
  if (view.status === "running") may.push(["Pause", () => order("pause")]);
  if (view.paused) may.push(["Resume", () => order("resume")]);
  if (OPEN.includes(view.status)) may.push(["Cancel …", () => confirm(`Cancel ${view.id}?`) && order("cancel", { reason: "cancelled in the dashboard" })]);
  const buttons = may.map(([name, act]) => el("button", { type: "button", "data-key": name, onclick: act }, name));
  return el("div", { class: "head" }, el("h2", {}, view.title || view.id, " ", chip(view.status)), el("div", { class: "buttons" }, buttons));
}

function facts(view) {
  const spent = view.ended ? view.seconds : view.started_at ? (Date.now() - Date.parse(view.started_at)) / 1000 : null;
  const found = [
    view.id,
    words(view.type),
    words(view.protocol.type),
    `priority ${view.priority}`,
    spent === null ? "" : `${seconds(spent)}${view.ended ? "" : " so far"}`,
    view.plan?.lower_bound ? `plan says at least ${seconds(view.plan.lower_bound)}` : "",
    view.plan?.complexity.score ? `complexity ${Math.round(view.plan.complexity.score)} / 100` : "",
  ];
  return el("p", { class: "facts" }, found.filter(Boolean).map((text) => el("span", {}, text)), view.reason ? el("span", { class: "bad" }, view.reason) : null);
}

function progress(view) {
  const counts = Object.entries(view.counts).map(([status, count]) => `${count} ${words(status)}`);
  return el("div", { class: "row progress" }, bar(view.progress, "progress of the project", view.status === "failed" ? "bad" : "good"), el("span", { class: "number" }, percent(view.progress)), el("small", {}, counts.join(" · ")));
}

function table(view, order) {
  const tasks = Object.values(view.tasks);
  const rows = tasks.slice(0, ROWS).map((task) => row(task, view, order));
  const header = el("tr", {}, ["Task", "State", "Agent", "Attempts", "Time", "Waits for, or why"].map((name) => el("th", { scope: "col" }, name)));
  return [
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Tasks" }, el("table", {}, el("caption", { class: "unseen" }, `Tasks of ${view.id}`), el("thead", {}, header), el("tbody", {}, rows))),
    tasks.length > ROWS ? el("p", { class: "quiet" }, `… and ${tasks.length - ROWS} more: nexus project show ${view.id}`) : null,
  ];
}

function row(task, view, order) {
  const path = `tasks/${encodeURIComponent(task.plan.id)}`;
  const may = [];
  if (task.status === "failed" && view.status !== "compensating") may.push(["Retry", () => order(`${path}/retry`)], ["Skip", () => order(`${path}/skip`)]);
  const buttons = may.map(([name, act]) => el("button", { type: "button", "data-key": `${name} ${task.plan.id}`, "aria-label": `${name} ${task.plan.id}`, onclick: act }, name));
  const estimate = task.plan.estimate ? ` of ${seconds(task.plan.estimate)}` : "";
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, task.plan.title || task.plan.id, el("small", {}, `${task.plan.id} · ${task.capability || task.plan.capability}${task.plan.optional ? " · optional" : ""}`)),
    el("td", {}, chip(task.status)),
    el("td", {}, task.agent || "–"),
    el("td", { class: "number" }, task.attempt || "–"),
    el("td", { class: "number" }, task.seconds ? seconds(task.seconds) : el("span", { class: "quiet" }, `~${estimate.slice(4) || "–"}`)),
    el("td", {}, el("small", {}, task.error ? `${task.error.message} ` : "", task.waits.map(said).join("; ")), buttons),
  );
}

function said({ kind, name, until }) {
  const end = until ? ` until ${time(until)}` : "";
  const what = { capacity: `capacity: ${name}`, lease: "its agent", turn: "its turn", retry: "its next attempt", resume: "being resumed", approval: "approval", start: "the start", clock: `${name} clock`, sync_point: `sync point ${name}`, task: name };
  return `${what[kind] ?? `${words(kind)} ${name}`}${end}`;
}

function points(view, order) {
  const found = Object.values(view.points);
  if (!found.length) return null;
  return el("div", { class: "facts" }, el("strong", {}, "Sync points"), found.map((point) => pointOf(point, view, order)));
}

function pointOf(point, view, order) {
  const [sign, kind] = { reached: ["✓", "good"], missed: ["✕", "bad"] }[point.status] ?? ["·", ""];
  // What no task reaches is awaited from outside: a person may say it here.
  const outside = point.status === "awaited" && !view.ended && point.waiters.length && !point.providers.length;
  const act = () => order(`signals/${encodeURIComponent(point.name)}`);
  const button = el("button", { type: "button", "data-key": `signal ${point.name}`, "aria-label": `Send signal ${point.name}`, onclick: act }, "Send");
  return el("span", { class: kind }, `${sign} ${point.name} `, outside ? button : null);
}
