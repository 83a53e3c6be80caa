// Every call to the API: a function for each operation of docs/openapi.json. It takes the parameters of the path by name,
// and `query` and `body` where there are any.
import * as SecureStore from "expo-secure-store";

import operations from "./operations.json";

const SERVER = process.env.EXPO_PUBLIC_API ?? "http://localhost:8000";
const TOKEN = "token";

export class ApiError extends Error {
  constructor(status, detail) {
    super(readable(detail));
    this.status = status;
  }
}

/** Kept by the phone's own key store. */
export const token = {
  get: () => SecureStore.getItemAsync(TOKEN),
  set: (value) => SecureStore.setItemAsync(TOKEN, value),
  clear: () => SecureStore.deleteItemAsync(TOKEN),
};

export const api = Object.fromEntries(
  Object.entries(operations).map(([name, operation]) => [name, (given) => send(operation, given)]),
);

async function send(operation, { query, body, ...parameters } = {}) {
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(parameters[name]));
  const said = Object.entries(query ?? {})
    .filter(([, value]) => value !== undefined && value !== null && value !== "")
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
  const known = await token.get();
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (known) headers.Authorization = `Bearer ${known}`;
  const response = await fetch(SERVER + path + (said.length ? `?${said.join("&")}` : ""), {
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
