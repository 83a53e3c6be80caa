/** What went wrong, in words; nothing if nothing did. */
export default function Problem({ error }) {
  return error ? (
    <p className="problem" role="alert">
      {error.message}
    </p>
  ) : null;
}
