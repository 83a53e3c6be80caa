import { Link } from "react-router";

import { api } from "../api/client.js";
import { formatValue } from "../format.js";
import { usePages } from "../loading.js";
import { allowed, useSession } from "../session.jsx";
import EntityFields from "./EntityFields.jsx";
import Pages from "./Pages.jsx";

/** What belongs to a parent: the list, and a form for one more. */
export default function Children({ entity, field, parent }) {
  const { user } = useSession();
  const pages = usePages(api[entity.operations.list], { [field]: parent.id }, [entity.name, parent.id, user?.id]);
  const create = entity.operations.create;

  return (
    <section className="children">
      <h2>{entity.labels}</h2>
      <Pages pages={pages} empty="None yet.">
        {(row) => (
          <p key={row.id} className="row">
            <Link to={`${entity.route}/${row.id}`}>{formatValue({}, row[entity.headline])}</Link>
          </p>
        )}
      </Pages>
      {create && allowed(user, entity.access.create) && (
        <details>
          <summary>Add</summary>
          <EntityFields
            entity={entity}
            without={[field]}
            label="Add"
            save={async (body) => {
              await api[create]({ body: { ...body, [field]: parent.id } });
              pages.reload();
            }}
          />
        </details>
      )}
    </section>
  );
}
