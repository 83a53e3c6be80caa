import { useState } from "react";

import { api } from "../api/client.js";
import { entityNamed } from "../entities.js";
import { formatValue } from "../format.js";
import { usePages } from "../loading.js";
import { Button, Input, Pages, Row } from "../parts.jsx";
import { allowed, useSession } from "../session.jsx";

/** All of one kind, or those that belong to a parent: `where` is a filter of the API. */
export default function EntityList({ navigation, route }) {
  const { name, where } = route.params;
  const entity = entityNamed(name);
  const { user } = useSession();
  const [words, setWords] = useState("");
  const pages = usePages(api[entity.operations.list], { ...where, q: words }, [name, JSON.stringify(where), words, user?.id]);
  const note = entity.fields.find((field) => ["money", "choice", "timestamp", "date"].includes(field.type));

  return (
    <Pages
      pages={pages}
      empty={`No ${entity.labels.toLowerCase()} yet.`}
      header={
        <>
          {entity.searchable && <Input label="Search" value={words} onChange={setWords} />}
          {entity.operations.create && allowed(user, entity.access.create) && (
            <Button
              plain
              label={`New ${entity.label}`}
              onPress={() => navigation.navigate("EntityForm", { name, given: where, title: `New ${entity.label}` })}
            />
          )}
        </>
      }
    >
      {(row) => (
        <Row
          title={formatValue({}, row[entity.headline])}
          note={note && formatValue(note, row[note.name])}
          onPress={() => navigation.navigate("EntityDetail", { name, id: row.id, title: entity.label })}
        />
      )}
    </Pages>
  );
}
