import { useState } from "react";

import { api } from "./api/client.js";
import { entityNamed } from "./entities.js";
import { useAction, useLoaded } from "./loading.js";
import { Button, Choices, Input, Problem } from "./parts.jsx";
import { useSession } from "./session.jsx";

const KEYBOARDS = { email: "email-address", url: "url", integer: "numeric", money: "numeric", number: "decimal-pad" };
const YES_NO = [
  [true, "yes"],
  [false, "no"],
];

/** A form for these fields, empty or filled; `save` gets what it says, in the API's types. */
export default function Fields({ fields, row, label, save }) {
  const [said, setSaid] = useState(() => Object.fromEntries(fields.map((field) => [field.name, shown(row, field)])));
  const [submit, { busy, error }] = useAction(() =>
    save(Object.fromEntries(fields.map((field) => [field.name, meant(field, said[field.name])]))),
  );

  return (
    <>
      {fields.map((field) => (
        <Field
          key={field.name}
          field={field}
          value={said[field.name]}
          onChange={(value) => setSaid((before) => ({ ...before, [field.name]: value }))}
        />
      ))}
      <Problem error={error} />
      <Button label={label} busy={busy} onPress={() => submit()} />
    </>
  );
}

function Field({ field, value, onChange }) {
  const given = { label: field.type === "money" ? `${field.label} (in cents)` : field.label, value, onChange };
  if (field.type === "boolean") return <Choices {...given} options={YES_NO} required />;
  if (field.type === "choice") {
    return <Choices {...given} options={field.choices.map((one) => [one, one.replaceAll("_", " ")])} required={field.required} />;
  }
  if (field.type === "reference") return <Reference {...given} field={field} />;
  const hint = { timestamp: " (2030-05-01 09:00)", date: " (2030-05-01)" }[field.type] ?? "";
  return (
    <Input
      {...given}
      label={given.label + hint}
      keyboard={KEYBOARDS[field.type]}
      lines={field.type === "long_text" ? 4 : 1}
      secret={field.type === "password"}
    />
  );
}

/** One of what there is; of people, oneself. */
function Reference({ field, ...given }) {
  const { user } = useSession();
  const entity = entityNamed(field.references);
  const { data } = useLoaded(
    () => (entity ? api[entity.operations.list]({ query: { limit: 100 } }) : Promise.resolve({ items: user ? [user] : [] })),
    [field.references, user?.id],
  );
  const options = (data?.items ?? []).map((item) => [item.id, String(item[entity?.headline ?? "name"])]);
  return <Choices {...given} options={options} required={field.required} />;
}

function shown(row, field) {
  const value = row ? row[field.name] : field.default;
  if (["boolean", "choice", "reference"].includes(field.type)) return value ?? (field.type === "boolean" ? false : null);
  return value === null || value === undefined ? "" : String(value);
}

function meant(field, said) {
  if (["boolean", "choice", "reference"].includes(field.type)) return said;
  if (said === "") return null;
  if (["integer", "money", "number"].includes(field.type)) return Number(said);
  return field.type === "timestamp" ? new Date(said.trim().replace(" ", "T")).toISOString() : said;
}
