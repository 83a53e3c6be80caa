// Every call to the API: a function for each operation of docs/openapi.json. It takes the parameters of the path by name,
// and `query` and `body` where there are any.
import operations from "./operations.json";

const TOKEN = "token";

export class ApiError extends Error {
  constructor(status, detail) {
    super(readable(detail));
    this.status = status;
  }
}

export const token = {
  get: () => localStorage.getItem(TOKEN),
  set: (value) => localStorage.setItem(TOKEN, value),
  clear: () => localStorage.removeItem(TOKEN),
};

export const api = Object.fromEntries(
  Object.entries(operations).map(([name, operation]) => [name, (given) => send(operation, given)]),
);

async function send(operation, { query, body, ...parameters } = {}) {
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(parameters[name]));
  const said = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (token.get()) headers.Authorization = `Bearer ${token.get()}`;
  const response = await fetch(said.length ? `${path}?${new URLSearchParams(said)}` : path, {
    method: operation.method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new ApiError(response.status, detailOf(text));
  return text ? JSON.parse(text) : null;
}

function detailOf(text) {
  try {
    return JSON.parse(text).detail;
  } catch {
    return "The server can't be reached, or did not understand.";
  }
}

/** FastAPI says what is wrong as a sentence, or as a list of fields with what is wrong about each. */
function readable(detail) {
  if (!Array.isArray(detail)) return String(detail);
  return detail.map(({ loc, msg }) => `${loc.slice(1).join(" ").replaceAll("_", " ")}: ${msg}`).join("; ");
}
