import { api } from "./api/client.js";
import { useLoaded } from "./loading.js";
import Problem from "./parts/Problem.jsx";

/** What the page of an entity shows beside its fields: its name to a component that gets the `row`. */
export const extras = { place: Availability };

/** When a place is taken already. */
function Availability({ row }) {
  const { data, error } = useLoaded(() => api.getAvailability({ place_id: row.id }), [row.id]);
  return (
    <section className="children">
      <h2>Taken</h2>
      <Problem error={error} />
      {data?.map(({ starts_at, ends_at }) => (
        <p key={starts_at} className="row">
          {new Date(starts_at).toLocaleString()} – {new Date(ends_at).toLocaleString()}
        </p>
      ))}
      {data?.length === 0 && <p className="quiet">It is free.</p>}
    </section>
  );
}
