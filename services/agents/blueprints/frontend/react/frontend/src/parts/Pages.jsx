import Problem from "./Problem.jsx";

/** A list from `usePages`: its items, its problem, a button for more. */
export default function Pages({ pages, empty, children }) {
  if (pages.error && !pages.items) return <Problem error={pages.error} />;
  if (!pages.items) return <p className="quiet">Loading…</p>;
  return (
    <>
      {pages.items.length ? pages.items.map(children) : <p className="quiet">{empty}</p>}
      <Problem error={pages.error} />
      {pages.more && (
        <button type="button" className="plain" onClick={pages.more}>
          More
        </button>
      )}
    </>
  );
}
