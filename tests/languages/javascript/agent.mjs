// A client and an agent of Nexus in JavaScript, made of a NATS client and the messages of contracts/asyncapi.yaml.
//
//   NATS_URL=… NATS_USER=… NATS_PASSWORD=… node agent.mjs [agent|project]
//
// "agent" does tasks that need the capability "writing" until it is told to stop. "project" has a project of its own
// done and prints what happens, one JSON line per event. Without a word it is both.
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "@nats-io/transport-node";
import { AckPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";

const NAME = "js-writer";
const CAPABILITY = "writing";
const BEAT = 2; // seconds; after three missed beats an agent counts as lost, and others get its tasks

const { NATS_URL: servers, NATS_USER: user, NATS_PASSWORD: pass } = process.env;
const nc = await connect({ servers, user, pass, maxReconnectAttempts: -1 });
const js = jetstream(nc);
const [, , role] = process.argv;
const random = (bytes) => randomBytes(bytes).toString("hex");
const tell = (line) => console.log(JSON.stringify(line));

// Every message is a CloudEvent.
function envelope(type, id, traceparent, data) {
  return JSON.stringify({ specversion: "1.0", id, type, source: `example/${NAME}`, traceparent, data });
}

// Sends a message until its stream has it. The id makes that safe: a stream drops what it has already.
async function publish(subject, type, id, traceparent, data) {
  for (;;) {
    try {
      return await js.publish(subject, envelope(type, id, traceparent, data), { msgID: id });
    } catch (error) {
      console.error(`${subject}: again: ${error}`);
      await sleep(1000);
    }
  }
}

// Yields what a stream has on these subjects, and then whatever comes, for ever: each message once and in order, also
// when the connection is lost in between.
async function* read(stream, ...filter_subjects) {
  const consumer = await js.consumers.get(stream, { filter_subjects });
  for await (const message of await consumer.consume()) yield [message.json(), message.seq];
}

// A project --------------------------------------------------------------------------------------------------------

// Creates a project with tasks of its own, sends the signals that it waits for, and follows it to its end.
async function haveDone() {
  const command = `words-${random(8)}`;
  const trace = `00-${random(16)}-${random(8)}-01`; // W3C trace context: every event of the project carries it on
  const project = await create(command, trace);
  tell({ command, project, traceparent: trace });

  // The whole story is three filters: the resource manager's events are about its pool, the project comes behind.
  const story = read("NEXUS_EVENTS", `nexus.events.planner.${project}.>`, `nexus.events.coordinator.${project}.>`,
    `nexus.events.resource_manager.*.*.${project}`);
  for await (const [{ type, traceparent, data }, sequence] of story) {
    tell({ sequence, event: type, traceparent, data });
    switch (type) {
      case "nexus.coordinator.execution_started": // a plain publisher needs no envelope
        await js.publish(`nexus.signals.${project}.words_found`, "{}");
        break;
      case "nexus.coordinator.tasks_settled": // with an id of its own a signal counts once, however often it is sent
        await publish(`nexus.signals.${project}.approved`, "org.example.approved", `${command}-approved`, trace,
          { by: "a reader" });
        break;
      case "nexus.coordinator.execution_completed":
        return;
      case "nexus.coordinator.execution_failed":
      case "nexus.coordinator.execution_cancelled":
      case "nexus.coordinator.execution_rolled_back":
        throw new Error(type);
    }
  }
}

// Sends a command and waits for its outcome. The command's id is its idempotency key: sent again it has no further
// effect, and the same outcome.
async function create(command, trace) {
  await publish("nexus.commands.planner.create_project", "nexus.planner.create_project", command, trace, {
    title: "Words from JavaScript",
    protocol: { type: "event_driven", sync_points: ["words_found", "approved"] },
    tasks: [
      { id: "draft", capability: CAPABILITY, waits_for: ["words_found"], input: { text: "hello from JavaScript" } },
      { id: "print", capability: CAPABILITY, waits_for: ["approved"], depends_on: ["draft"] },
    ],
  });
  for await (const [{ data }] of read("NEXUS_OUTCOMES", `nexus.outcomes.${command}`)) { // kept for an hour
    if (data.status === "accepted") return data.result.project;
    throw new Error(`refused: ${data.message}`);
  }
}

// An agent ---------------------------------------------------------------------------------------------------------

const instance = random(8); // another run has another one: what an earlier one had in hand goes to others
const running = new Map(); // what is in hand, by its id
const known = new Set(); // the ids of all that was ever given
let beats = 0;

// Does tasks until `stopped`.
async function serve(stopped) {
  // The durable consumer keeps what arrives while nobody is here. Its name is agreed upon: agent-<name>.
  const durable_name = `agent-${NAME}`;
  await (await jetstreamManager(nc)).consumers.add("NEXUS_TASKS",
    { durable_name, filter_subject: `nexus.tasks.${NAME}`, ack_policy: AckPolicy.Explicit });
  const tasks = await (await js.consumers.get("NEXUS_TASKS", durable_name)).consume();
  stopped.addEventListener("abort", () => tasks.stop());
  say("hello");
  const heart = setInterval(say, BEAT * 1000, "beat");
  for await (const message of tasks) {
    try {
      take(message.json());
    } catch (error) {
      console.error(`not understood: ${error}`); // sent again it would be no better
    }
    message.ack(); // at once, not when it is done: what beats do not mention is sent again from the log
  }
  clearInterval(heart);
  for (const { stop } of running.values()) stop.abort();
  say("bye"); // what was in hand goes to others at once
}

// Tells who is there, what it can do, and how far it is with what it has in hand; each message is complete in itself.
function say(what) {
  const inHand = ({ project, task, attempt, progress }) => ({ project, task, attempt, progress });
  nc.publish(`nexus.agents.${NAME}.${what}`, envelope("nexus.agents.beat", `${instance}.${++beats}`, undefined, {
    agent: NAME, instance, capabilities: [CAPABILITY], slots: 2, interval: BEAT,
    running: [...running.values()].map(inHand),
  }));
}

// Begins what is assigned, once, and drops what is withdrawn.
function take({ type, traceparent, data }) {
  const id = `${data.project}.${data.task}.${data.attempt}`;
  if (type === "nexus.coordinator.withdrawal") {
    running.get(id)?.stop.abort();
    running.delete(id);
    known.add(id);
    tell({ withdrawn: id });
  } else if (type === "nexus.coordinator.assignment" && known.has(id)) {
    tell({ dropped: id });
  } else if (type === "nexus.coordinator.assignment") {
    known.add(id);
    tell({ taken: id });
    const attempt = { ...data, id, traceparent, progress: 0, stop: new AbortController() };
    running.set(id, attempt);
    work(attempt).catch((error) => error.name === "AbortError" || console.error(error));
  }
}

// Does the task, and says what came of it unless nobody wants to know any more.
async function work(attempt) {
  const { id, project, task, lease, epoch, input = {}, upstream = {}, stop: { signal } } = attempt;
  const began = performance.now();
  for (const progress of [0.5, 1]) {
    await sleep((input.seconds ?? 0) * 500, undefined, { signal });
    attempt.progress = progress;
    say("beat"); // progress travels with a sign of life
  }
  const text = [input.text ?? "", ...Object.values(upstream).map((earlier) => earlier.text)].join("");
  // Lease and epoch say that the task is still ours to end.
  await publish(`nexus.results.${project}.${task}`, "nexus.agents.result", `${id}.run`, attempt.traceparent, {
    agent: NAME, attempt: attempt.attempt, lease, epoch, status: "done", // or "failed"
    output: { text, by: "JavaScript" }, seconds: (performance.now() - began) / 1000,
  });
  running.delete(id);
}

const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM"]) process.on(name, () => stop.abort());
const serving = role !== "project" && serve(stop.signal);
if (role !== "agent") await haveDone().finally(() => stop.abort()); // the agent, too
await serving;
await nc.drain();
