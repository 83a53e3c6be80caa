// The task graph: columns by depth, each task beside those it depends on.

import { el, mark, short, svg, tone, words } from "./dom.js";

const WIDTH = 182, HEIGHT = 46, GAP_X = 32, GAP_Y = 14, MARGIN = 8;
const DRAWN = 80; // with more tasks than this a graph shows nothing to anybody

export function graph(tasks, critical) {
  const all = Object.values(tasks);
  if (!all.length) return el("p", { class: "quiet" }, "No tasks.");
  if (all.length > DRAWN) return grid(all);
  const places = layout(all);
  const columns = 1 + Math.max(...[...places.values()].map((place) => place.column));
  const rows = 1 + Math.max(...[...places.values()].map((place) => place.row));
  const width = columns * (WIDTH + GAP_X) - GAP_X + 2 * MARGIN;
  const height = rows * (HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN;
  const path = new Set(critical);
  const picture = svg(
    "svg",
    { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Graph of ${all.length} tasks; the table below says the same` },
    all.flatMap((task) => task.plan.depends_on.filter((id) => places.has(id)).map((id) => edge(places.get(id), places.get(task.plan.id), tasks[id], path.has(id) && path.has(task.plan.id)))),
    all.map((task) => node(task, places.get(task.plan.id), path.has(task.plan.id))),
  );
  return el("div", { class: "scroll graph", tabindex: 0, role: "region", "aria-label": "Task graph" }, picture);
}

function layout(all) {
  const byId = new Map(all.map((task) => [task.plan.id, task]));
  const depth = new Map();
  const deep = (id) => {
    if (!depth.has(id)) {
      depth.set(id, 0);
      depth.set(id, 1 + Math.max(-1, ...byId.get(id).plan.depends_on.filter((one) => byId.has(one)).map(deep)));
    }
    return depth.get(id);
  };
  const columns = [];
  for (const id of byId.keys()) (columns[deep(id)] ??= []).push(id);
  const rows = new Map();
  const middle = (id) => {
    const found = byId.get(id).plan.depends_on.filter((one) => rows.has(one)).map((one) => rows.get(one));
    return found.length ? found.reduce((sum, row) => sum + row, 0) / found.length : 0;
  };
  const tallest = Math.max(...columns.map((column) => column.length));
  columns.forEach((column) => {
    column.sort((a, b) => middle(a) - middle(b)); // few crossings: each near the middle of what it depends on
    column.forEach((id, n) => rows.set(id, n + (tallest - column.length) / 2));
  });
  return new Map([...byId.keys()].map((id) => [id, { column: depth.get(id), row: rows.get(id) }]));
}

const left = (place) => MARGIN + place.column * (WIDTH + GAP_X);
const top = (place) => MARGIN + place.row * (HEIGHT + GAP_Y);

function edge(from, to, task, critical) {
  const x1 = left(from) + WIDTH, y1 = top(from) + HEIGHT / 2, x2 = left(to), y2 = top(to) + HEIGHT / 2;
  const bend = Math.max(GAP_X / 2, (x2 - x1) / 2);
  const done = task.status === "done" || task.status === "skipped";
  return svg("path", { class: `edge${done ? " done" : ""}${critical ? " critical" : ""}`, d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}` });
}

function node(task, place, critical) {
  const title = task.plan.title || task.plan.id;
  return svg(
    "g",
    { class: `node ${tone(task.status)}${critical ? " critical" : ""}`, transform: `translate(${left(place)} ${top(place)})` },
    svg("title", {}, `${title}: ${words(task.status)}${task.agent ? `, ${task.agent}` : ""}`),
    svg("rect", { width: WIDTH, height: HEIGHT, rx: 8 }),
    svg("text", { x: 11, y: 19, class: "name" }, short(title, 24)),
    svg("text", { x: 11, y: 36, class: "state" }, `${mark(task.status)} ${short(`${words(task.status)}${task.agent ? ` · ${task.agent}` : ""}`, 26)}`),
  );
}

function grid(all) {
  const cells = all.slice(0, 4000).map((task) => el("span", { class: `cell ${tone(task.status)}`, title: `${task.plan.title || task.plan.id}: ${words(task.status)}` }));
  return el("div", { class: "cells", role: "img", "aria-label": `${all.length} tasks, one square each` }, cells);
}
