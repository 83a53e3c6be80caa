import { api } from "../api/client.js";
import { useAction, usePages } from "../loading.js";
import Pages from "../parts/Pages.jsx";
import Problem from "../parts/Problem.jsx";

/** Everybody with an account, for the staff. */
export default function Users() {
  const pages = usePages(api.listUsers, {}, []);
  const [change, { busy, error }] = useAction(async (user_id, body) => {
    await api.changeUser({ user_id, body });
    pages.reload();
  });

  return (
    <section>
      <h1>Accounts</h1>
      <Problem error={error} />
      <Pages pages={pages} empty="Nobody.">
        {(person) => (
          <article key={person.id} className="row">
            <span>{person.name}</span>
            <span className="quiet">
              {person.email}, {person.role}
              {person.active ? "" : ", closed"}
            </span>
            <span className="actions">
              <button
                type="button"
                className="plain"
                disabled={busy}
                onClick={() => change(person.id, { role: person.role === "staff" ? "member" : "staff" })}
              >
                {person.role === "staff" ? "Make a member" : "Make staff"}
              </button>
              <button type="button" className="plain" disabled={busy} onClick={() => change(person.id, { active: !person.active })}>
                {person.active ? "Close" : "Open"}
              </button>
            </span>
          </article>
        )}
      </Pages>
    </section>
  );
}
