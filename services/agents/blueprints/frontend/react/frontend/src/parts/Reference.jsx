import { Link } from "react-router";

import { api } from "../api/client.js";
import { entityNamed } from "../entities.js";
import { useLoaded } from "../loading.js";
import { useSession } from "../session.jsx";

/** The name of what a field refers to, as a link. */
export default function Reference({ field, value }) {
  const { user } = useSession();
  const entity = entityNamed(field.references);
  if (value === null) return "–";
  if (field.references === "user") return value === user?.id ? "you" : `member ${value}`;
  return entity?.operations.get ? <Named entity={entity} id={value} /> : `${field.label} ${value}`;
}

function Named({ entity, id }) {
  const { data } = useLoaded(() => api[entity.operations.get]({ [`${entity.name}_id`]: id }), [entity.name, id]);
  return <Link to={`${entity.route}/${id}`}>{data ? data[entity.headline] : `${entity.label} ${id}`}</Link>;
}
