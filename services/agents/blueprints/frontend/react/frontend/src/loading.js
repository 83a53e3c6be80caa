import { useCallback, useEffect, useState } from "react";

/** What `load` gives, newly for each change of `keys`: `{ data, error, reload }`. */
export function useLoaded(load, keys) {
  const [state, setState] = useState({ data: undefined, error: null });
  const [turn, setTurn] = useState(0);

  useEffect(() => {
    let current = true; // an answer that comes after the next question is dropped
    load().then(
      (data) => current && setState({ data, error: null }),
      (error) => current && setState({ data: undefined, error }),
    );
    return () => {
      current = false;
    };
  }, [...keys, turn]);

  const reload = useCallback(() => setTurn((before) => before + 1), []);
  return { ...state, reload };
}

/** A list that grows page by page: `{ items, error, more, reload }`; `more` is null at the end. */
export function usePages(list, query, keys) {
  const [rest, setRest] = useState({ items: [], next: null });
  const [error, setError] = useState(null);
  const first = useLoaded(() => list({ query }), keys);

  useEffect(() => setRest({ items: [], next: first.data?.next ?? null }), [first.data]);

  async function more() {
    try {
      const page = await list({ query: { ...query, after: rest.next } });
      setRest((before) => ({ items: [...before.items, ...page.items], next: page.next }));
    } catch (problem) {
      setError(problem);
    }
  }

  const items = first.data && [...first.data.items, ...rest.items];
  return { items, error: first.error ?? error, more: rest.next ? more : null, reload: first.reload };
}

/** Runs something that the user asked for: `[run, { busy, error }]`. */
export function useAction(action) {
  const [state, setState] = useState({ busy: false, error: null });

  async function run(...given) {
    setState({ busy: true, error: null });
    try {
      await action(...given);
      setState({ busy: false, error: null });
    } catch (error) {
      setState({ busy: false, error });
    }
  }

  return [run, state];
}
