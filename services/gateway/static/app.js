// The page: lists refreshed when the log says that something happened, at most once a second.

import { follow, get } from "./api.js";
import { bar, chip, draw, el, percent, seconds, time, tone, words } from "./dom.js";
import { showProject } from "./project.js";

const EVENTS = 150;
const state = { selected: decodeURIComponent(location.hash.slice(1)), events: [], dirty: true, project: true };
const $ = (id) => document.getElementById(id);

function tiles(numbers) {
  const { projects, tasks, queue, agents } = numbers;
  const there = Object.values(agents).filter((agent) => agent.present).length;
  const over = projects.failed + projects.cancelled + projects.rolled_back + projects.refused;
  return [
    ["Projects under way", projects.active, projects.paused ? `${projects.paused} paused` : ""],
    ["Completed", projects.completed, over ? `${over} ended otherwise` : ""],
    ["Tasks done", tasks.done, `${tasks.per_second.toFixed(2)} per second`],
    ["Attempts that succeed", percent(tasks.success_rate), tasks.retried ? `${tasks.retried} retried` : ""],
    ["A task takes", seconds(tasks.p50_seconds), `p95 ${seconds(tasks.p95_seconds)}`],
    ["Waiting for capacity", queue.length, queue.length ? `oldest ${seconds(queue.oldest_seconds)}` : ""],
    ["Agents", there, numbers.coordination.agents_lost ? `${numbers.coordination.agents_lost} lost so far` : ""],
  ];
}

function showNumbers(numbers) {
  const found = tiles(numbers);
  draw($("tiles"), found, () => found.map(([name, value, more]) => el("div", {}, el("dt", {}, name), el("dd", {}, String(value), more ? el("small", {}, more) : null))));
  const held = ["slots", "cpu", "memory", "disk", "network"].map((name) => [name, numbers.resources[`${name}_held`], numbers.resources[`${name}_limit`]]);
  draw($("resources"), held, () => held.map(([name, amount, limit]) => resource(name, amount, limit)));
  $("leases").textContent = `${numbers.resources.leases} leases`;
}

function resource(name, amount, limit) {
  const rounded = Math.round(amount * 10) / 10;
  const share = limit ? amount / limit : 0;
  const kind = share > 0.9 ? "warn" : "";
  return el("div", { class: "row" }, el("span", {}, words(name)), bar(share, `${name} held`, kind), el("span", { class: "number" }, limit === null ? `${rounded} of ∞` : `${rounded} / ${Math.round(limit * 10) / 10}`));
}

function showProjects(page) {
  const found = page.projects;
  $("projects-total").textContent = page.total > found.length ? `${found.length} newest of ${page.total}` : page.total || "";
  if (!found.some((one) => one.id === state.selected) && !location.hash) state.selected = found[0]?.id ?? "";
  draw($("projects"), [found, state.selected], () => (found.length ? found.map(projectLine) : [el("li", { class: "quiet" }, "None so far. Try: nexus run --description \"A blog\"")]));
}

function projectLine(one) {
  const open = { type: "button", "data-key": one.id, "aria-current": one.id === state.selected ? "true" : null, onclick: () => select(one.id) };
  return el("li", {}, el("button", open, el("span", { class: "title" }, one.title || one.id), chip(one.status), el("small", {}, `${one.id} · ${one.tasks} tasks · ${time(one.created_at)}`)));
}

function select(id) {
  state.selected = id;
  state.project = state.dirty = true;
  history.replaceState(null, "", `#${encodeURIComponent(id)}`);
  refresh();
}

function showAgents(agents, numbers) {
  const order = (agent) => (["left", "lost"].includes(agent.status) ? 1 : 0);
  const found = [...agents].sort((a, b) => order(a) - order(b) || a.name.localeCompare(b.name)).slice(0, 60);
  $("agents-total").textContent = agents.length > found.length ? `${found.length} of ${agents.length}` : agents.length || "";
  const shown = found.map((agent) => told(agent, numbers?.agents[agent.name]));
  draw($("agents"), shown, () => (shown.length ? shown.map(agentLine) : [el("li", { class: "quiet" }, "Nobody is here.")]));
}

// Leases say at once how busy an agent is; what it says itself may be a beat old.
function told(agent, numbers) {
  const busy = numbers?.busy ?? agent.running.length;
  const status = ["ready", "busy"].includes(agent.status) ? (busy ? "busy" : "ready") : agent.status;
  return { ...agent, last_seen: null, status, busy, running: busy ? agent.running : [], numbers };
}

function agentLine(agent) {
  const did = agent.numbers ? `${agent.numbers.done} done${agent.numbers.failed ? `, ${agent.numbers.failed} failed` : ""}` : "";
  const gone = ["left", "lost"].includes(agent.status);
  return el(
    "li",
    { class: gone ? "gone" : null },
    el("span", { class: "title" }, agent.name),
    chip(agent.status),
    gone ? null : el("div", { class: "row" }, bar(agent.busy / agent.slots, `load of ${agent.name}`), el("span", { class: "number" }, `${agent.busy} / ${agent.slots}`)),
    el("small", {}, [agent.capabilities.join(", "), did].filter(Boolean).join(" · ")),
    agent.running.map((one) => el("small", { class: "running" }, `▶ ${one.task}${one.progress ? ` ${percent(one.progress)}` : ""}${one.note ? ` · ${one.note}` : ""}`)),
  );
}

function showAlerts(alerts) {
  $("alerts").hidden = !alerts.length;
  draw($("alerts"), alerts, () => alerts.map((one) => el("p", { class: "alert" }, el("strong", {}, `⚠ ${words(one.rule)}`), ` ${one.summary} `, el("small", {}, `since ${time(one.since)}`))));
}

function showEvents() {
  const found = state.events;
  draw($("events"), found.at(0)?.sequence ?? 0, () => (found.length ? found.map(eventLine) : [el("li", { class: "quiet" }, "Silence.")]));
}

function eventLine(event) {
  return el("li", {}, el("span", { class: "number" }, event.sequence), el("time", {}, time(event.at)), el("span", { class: `event ${toneOf(event)}` }, words(event.event)), el("span", { class: "about" }, about(event)));
}

function toneOf({ event, data }) {
  if (event === "tasks_settled") return data.results?.some((one) => !["done", "late"].includes(one.status)) ? "bad" : "good";
  if (event === "tasks_dispatched" || event === "execution_started") return "live";
  const last = event.replace(/^(execution|project|agent|alert)_/, "");
  return { missed: "bad", raised: "bad", resolved: "good" }[last] ?? tone(last);
}

function about({ project, service, event, data }) {
  const names = (list, name) => (list ?? []).map(name).slice(0, 6).join(", ");
  const said = {
    tasks_settled: () => names(data.results, (one) => `${one.task} ${words(one.status)}`),
    tasks_dispatched: () => names(data.dispatched, (one) => `${one.task} → ${one.agent}`),
    capacity_leased: () => names(data.leases, (one) => `${one.task} → ${one.agent}`),
    capacity_queued: () => names(data.queued, (one) => `${one.request.task}: ${one.reason}`),
    signal_received: () => data.name,
    alert_raised: () => data.summary,
  }[event]?.() ?? data.reason ?? data.agent ?? "";
  return [project ?? service, said].filter(Boolean).join(" · ");
}

async function refresh() {
  if (state.busy) return;
  state.busy = true;
  state.dirty = false;
  try {
    const [page, agents, alerts, numbers] = await Promise.all([
      get("/v1/projects?limit=40"), get("/v1/agents"), get("/v1/alerts"), get("/v1/metrics/performance").catch(() => null),
    ]);
    showProjects(page);
    showAlerts(alerts);
    showAgents(agents, numbers);
    if (numbers) showNumbers(numbers);
    if (state.project && state.selected) {
      state.project = false;
      await showProject($("detail"), state.selected, () => ((state.project = state.dirty = true), refresh()));
    }
    return numbers;
  } catch (error) {
    console.info("refresh:", error.message);
    state.dirty = state.project = true;
  } finally {
    state.busy = false;
  }
}

function heard(event) {
  if (state.events.length && event.sequence <= state.events[0].sequence) return;
  state.events.unshift(event);
  state.events.length = Math.min(state.events.length, EVENTS);
  state.dirty = true;
  if (event.project === state.selected || !state.selected) state.project = true;
}

function linked(on) {
  $("link").className = `link ${on ? "on" : "off"}`;
  $("link").textContent = on ? "live" : "connecting again";
}

function theme() {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const set = (name) => ((root.dataset.theme = name), ($("theme").textContent = name === "dark" ? "Light" : "Dark"));
  set(localStorage.getItem("nexus-theme") ?? (dark ? "dark" : "light"));
  $("theme").onclick = () => {
    set(root.dataset.theme === "dark" ? "light" : "dark");
    localStorage.setItem("nexus-theme", root.dataset.theme);
  };
}

theme();
addEventListener("hashchange", () => select(decodeURIComponent(location.hash.slice(1))));
const numbers = await refresh();
follow(Math.max(0, (numbers?.position ?? 0) - 60), heard, linked);
setInterval(() => {
  showEvents();
  if (state.dirty && !document.hidden) refresh();
}, 1000);
setInterval(() => (state.dirty = true), 4000); // agents beat without events
