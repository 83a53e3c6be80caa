import { useNavigate } from "react-router";

import { api } from "../api/client.js";
import EntityFields from "../parts/EntityFields.jsx";

/** A new one. */
export default function EntityForm({ entity }) {
  const navigate = useNavigate();
  return (
    <section>
      <h1>New {entity.label}</h1>
      <EntityFields
        entity={entity}
        label="Create"
        save={async (body) => {
          const made = await api[entity.operations.create]({ body });
          navigate(`${entity.route}/${made.id}`);
        }}
      />
    </section>
  );
}
