import { useAction } from "../loading.js";
import Field, { readForm } from "./Field.jsx";
import Problem from "./Problem.jsx";

/** A form for an entity, empty or filled; `save` gets what it says. */
export default function EntityFields({ entity, row, without = [], label, save }) {
  const fields = entity.fields.filter((field) => field.settable && !without.includes(field.name));
  const [submit, { busy, error }] = useAction(async (form) => {
    await save(readForm(form, fields));
    if (!row) form.reset();
  });

  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        submit(event.currentTarget);
      }}
    >
      {fields.map((field) => (
        <Field key={field.name} field={field} value={row?.[field.name]} />
      ))}
      <Problem error={error} />
      <button disabled={busy}>{label}</button>
    </form>
  );
}
