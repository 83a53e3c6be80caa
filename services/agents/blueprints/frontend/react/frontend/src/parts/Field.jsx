import { useId } from "react";

import { api } from "../api/client.js";
import { entityNamed } from "../entities.js";
import { useLoaded } from "../loading.js";
import { useSession } from "../session.jsx";

/** One labelled input for a field; its name is the field's. */
export default function Field({ field, value }) {
  const id = useId();
  return (
    <div className={field.type === "boolean" ? "field inline" : "field"}>
      <label htmlFor={id}>{field.type === "money" ? `${field.label} (in cents)` : field.label}</label>
      <Input field={field} id={id} value={value ?? field.default ?? ""} />
    </div>
  );
}

function Input({ field, id, value }) {
  const given = { id, name: field.name, required: field.required, defaultValue: value };
  switch (field.type) {
    case "long_text":
      return <textarea {...given} rows={5} maxLength={field.maxLength} />;
    case "boolean":
      return <input id={id} name={field.name} type="checkbox" defaultChecked={Boolean(value)} />;
    case "choice":
      return <Select {...given} options={field.choices.map((choice) => [choice, choice.replaceAll("_", " ")])} />;
    case "reference":
      return field.references === "user" ? <Person {...given} /> : <Choice {...given} entity={entityNamed(field.references)} />;
    case "integer":
    case "money":
      return <input {...given} type="number" step={1} min={field.min} max={field.max} />;
    case "number":
      return <input {...given} type="number" step="any" min={field.min ?? undefined} max={field.max ?? undefined} />;
    case "timestamp":
      return <input {...given} type="datetime-local" defaultValue={localTime(value)} />;
    case "date":
    case "email":
    case "url":
      return <input {...given} type={field.type} />;
    default:
      return <input {...given} type="text" maxLength={field.maxLength} />;
  }
}

function Select({ options, required, ...given }) {
  return (
    <select {...given} required={required} key={options.length}>
      {!required && <option value="">–</option>}
      {options.map(([value, label]) => (
        <option key={value} value={value}>
          {label}
        </option>
      ))}
    </select>
  );
}

/** One of what there is; the first hundred are offered. */
function Choice({ entity, ...given }) {
  const { data } = useLoaded(() => api[entity.operations.list]({ query: { limit: 100 } }), [entity.name]);
  return <Select {...given} options={(data?.items ?? []).map((item) => [item.id, item[entity.headline]])} />;
}

/** Staff sees everybody; others know only themselves. */
function Person(given) {
  const { user } = useSession();
  const everybody = user?.role === "staff";
  const { data } = useLoaded(
    () => (everybody ? api.listUsers({ query: { limit: 100 } }) : Promise.resolve({ items: [user] })),
    [everybody],
  );
  return <Select {...given} options={(data?.items ?? []).map((person) => [person.id, person.name])} />;
}

/** What a form says, in the API's types; what is empty is null. */
export function readForm(form, fields) {
  const said = new FormData(form);
  return Object.fromEntries(fields.map((field) => [field.name, read(field, said.get(field.name))]));
}

function read(field, text) {
  if (field.type === "boolean") return text !== null;
  if (text === null || text === "") return null;
  if (["integer", "money", "number", "reference"].includes(field.type)) return Number(text);
  return field.type === "timestamp" ? new Date(text).toISOString() : text;
}

function localTime(value) {
  if (!value) return "";
  const time = new Date(value);
  return new Date(time.getTime() - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
