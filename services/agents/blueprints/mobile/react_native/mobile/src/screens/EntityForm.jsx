import { api } from "../api/client.js";
import { entityNamed } from "../entities.js";
import Fields from "../Fields.jsx";
import { Screen } from "../parts.jsx";

/** A new one, or another wording of one that there is; `given` says what is fixed already. */
export default function EntityForm({ navigation, route }) {
  const { name, row, given = {} } = route.params;
  const entity = entityNamed(name);
  const fields = entity.fields.filter((field) => field.settable && !(field.name in given));

  async function save(said) {
    const body = { ...said, ...given };
    const made = row
      ? await api[entity.operations.change]({ [`${name}_id`]: row.id, body })
      : await api[entity.operations.create]({ body });
    navigation.popTo("EntityDetail", { name, id: made.id, title: entity.label, changed: Date.now() });
  }

  return (
    <Screen>
      <Fields fields={fields} row={row} label={row ? "Save" : "Create"} save={save} />
    </Screen>
  );
}
