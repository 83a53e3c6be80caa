import { useState } from "react";
import { useNavigate, useParams } from "react-router";

import { api } from "../api/client.js";
import { entities } from "../entities.js";
import { extras } from "../extras.jsx";
import { formatValue } from "../format.js";
import { useAction, useLoaded } from "../loading.js";
import Children from "../parts/Children.jsx";
import EntityFields from "../parts/EntityFields.jsx";
import Problem from "../parts/Problem.jsx";
import Reference from "../parts/Reference.jsx";
import { allowed, useSession } from "../session.jsx";

/** One of a kind: what it says, changing and removing it, and what belongs to it. */
export default function EntityDetail({ entity }) {
  const { id } = useParams();
  const { user } = useSession();
  const navigate = useNavigate();
  const [editing, setEditing] = useState(false);
  const which = { [`${entity.name}_id`]: id };
  const { data: row, error, reload } = useLoaded(() => api[entity.operations.get](which), [entity.name, id, user?.id]);
  const [remove, removing] = useAction(async () => {
    await api[entity.operations.remove](which);
    navigate(entity.route);
  });

  if (!row) return error ? <Problem error={error} /> : <p className="quiet">Loading…</p>;
  const mine = allowed(user, entity.access.change, entity.owner ? row[entity.owner] : undefined);
  const Extra = extras[entity.name];
  return (
    <section>
      <div className="title">
        <h1>{formatValue({}, row[entity.headline])}</h1>
        {mine && entity.operations.change && (
          <button type="button" className="plain" onClick={() => setEditing(!editing)}>
            {editing ? "Leave as it is" : "Change"}
          </button>
        )}
        {mine && entity.operations.remove && (
          <button type="button" className="plain" disabled={removing.busy} onClick={remove}>
            Remove
          </button>
        )}
      </div>
      <Problem error={removing.error} />
      {editing ? (
        <EntityFields
          entity={entity}
          row={row}
          label="Save"
          save={async (body) => {
            await api[entity.operations.change]({ ...which, body });
            setEditing(false);
            reload();
          }}
        />
      ) : (
        <Shown entity={entity} row={row} />
      )}
      {Extra && <Extra row={row} />}
      {childrenOf(entity).map(([child, field]) => (
        <Children key={child.name} entity={child} field={field} parent={row} />
      ))}
    </section>
  );
}

function Shown({ entity, row }) {
  return (
    <dl className="details">
      {entity.fields
        .filter((field) => field.name !== entity.headline)
        .map((field) => (
          <div key={field.name} className={field.type === "long_text" ? "prose" : ""}>
            <dt>{field.label}</dt>
            <dd>{field.references ? <Reference field={field} value={row[field.name]} /> : formatValue(field, row[field.name])}</dd>
          </div>
        ))}
    </dl>
  );
}

/** Kinds that refer to this one and can be listed by it. */
function childrenOf(entity) {
  return entities.flatMap((child) =>
    child.fields
      .filter((field) => field.references === entity.name && child.filters.includes(field.name))
      .slice(0, 1)
      .map((field) => [child, field.name]),
  );
}
