// The HTTP API, as this page uses it: JSON, and streams of events that go on after every interruption.

const TOKEN = "nexus-token";
let asking = null;

function headers(more = {}) {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}`, ...more } : more;
}

async function fetched(path, options = {}) {
  const answer = await fetch(path, { ...options, headers: headers(options.headers) });
  if (answer.status !== 401) return answer;
  await token();
  return fetched(path, options);
}

function token() {
  asking ??= new Promise((resolve) => {
    const door = document.getElementById("door");
    const input = document.getElementById("token");
    const enter = () => {
      sessionStorage.setItem(TOKEN, input.value.trim());
      asking = null;
      door.close();
      resolve();
    };
    document.getElementById("enter").onclick = enter;
    input.onkeydown = (event) => event.key === "Enter" && enter();
    door.oncancel = (event) => event.preventDefault();
    input.value = "";
    door.showModal();
  });
  return asking;
}

export async function get(path) {
  const answer = await fetched(path);
  if (!answer.ok) throw await problem(answer);
  return answer.json();
}

export async function post(path, body) {
  const options = { method: "POST" };
  if (body !== undefined) {
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(body);
  }
  const answer = await fetched(path, options);
  if (!answer.ok) throw await problem(answer);
  return answer.json();
}

async function problem(answer) {
  const body = await answer.json().catch(() => ({}));
  return Object.assign(new Error(body.detail || `${answer.status} ${answer.statusText}`), { status: answer.status });
}

// EventSource cannot send a token, so the stream is read by hand.
export async function follow(after, heard, linked) {
  let last = after;
  for (;;) {
    try {
      const answer = await fetched(`/v1/events?after=${last}`, { headers: { Accept: "text/event-stream" } });
      if (!answer.ok) throw await problem(answer);
      linked(true);
      for await (const event of messages(answer.body)) {
        last = event.sequence;
        heard(event);
      }
    } catch (error) {
      console.info("events:", error.message);
    }
    linked(false);
    await new Promise((resolve) => setTimeout(resolve, 1500));
  }
}

async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (text + value).split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").filter((line) => line.startsWith("data: "));
      if (data.length) yield JSON.parse(data.map((line) => line.slice(6)).join("\n"));
    }
  }
}
