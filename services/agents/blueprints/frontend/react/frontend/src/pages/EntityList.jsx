import { useState } from "react";
import { Link, useSearchParams } from "react-router";

import { api } from "../api/client.js";
import { formatValue } from "../format.js";
import { usePages } from "../loading.js";
import Pages from "../parts/Pages.jsx";
import Reference from "../parts/Reference.jsx";
import { allowed, useSession } from "../session.jsx";

const COLUMNS = 4;

/** All of one kind, a page at a time, with a search where the API has one. */
export default function EntityList({ entity }) {
  const { user } = useSession();
  const [query, setQuery] = useSearchParams();
  const [words, setWords] = useState(query.get("q") ?? "");
  const asked = Object.fromEntries(query);
  const pages = usePages(api[entity.operations.list], asked, [entity.name, query.toString(), user?.id]);

  return (
    <section>
      <div className="title">
        <h1>{entity.labels}</h1>
        {entity.operations.create && allowed(user, entity.access.create) && (
          <Link className="button" to={`${entity.route}/new`}>
            New {entity.label}
          </Link>
        )}
      </div>
      {entity.searchable && (
        <form
          className="search"
          role="search"
          onSubmit={(event) => {
            event.preventDefault();
            setQuery(words ? { ...asked, q: words } : {});
          }}
        >
          <input type="search" aria-label="Search" value={words} onChange={(event) => setWords(event.target.value)} />
          <button className="plain">Search</button>
        </form>
      )}
      <Pages pages={pages} empty={`No ${entity.labels.toLowerCase()} yet.`}>
        {(row) => <Row key={row.id} entity={entity} row={row} />}
      </Pages>
    </section>
  );
}

function Row({ entity, row }) {
  const others = entity.fields.filter((field) => field.name !== entity.headline && field.type !== "long_text");
  return (
    <article className="row">
      <Link to={`${entity.route}/${row.id}`}>{formatValue({}, row[entity.headline])}</Link>
      <dl>
        {others.slice(0, COLUMNS).map((field) => (
          <div key={field.name}>
            <dt>{field.label}</dt>
            <dd>{field.references ? <Reference field={field} value={row[field.name]} /> : formatValue(field, row[field.name])}</dd>
          </div>
        ))}
      </dl>
    </article>
  );
}
