import { createContext, useCallback, useContext, useEffect, useMemo, useState } from "react";

import { api, token } from "./api/client.js";

const Session = createContext(null);

/** Knows who is signed in: `user` is null for a visitor. */
export function SessionProvider({ children }) {
  const [user, setUser] = useState(null);
  const [known, setKnown] = useState(false);

  useEffect(() => {
    restore()
      .then(setUser, () => setUser(null)) // without the server one is a visitor, and may try again
      .finally(() => setKnown(true));
  }, []);

  const enter = useCallback(async (answer) => {
    await token.set(answer.token);
    setUser(answer.user);
  }, []);
  const leave = useCallback(async () => {
    await api.logout().catch(() => {}); // the token may have run out already: the end is the same
    await token.clear();
    setUser(null);
  }, []);
  const session = useMemo(() => ({ user, enter, leave }), [user, enter, leave]);

  return known ? <Session.Provider value={session}>{children}</Session.Provider> : null;
}

async function restore() {
  if (!(await token.get())) return null;
  try {
    return await api.getMe();
  } catch (error) {
    if (error.status === 401) await token.clear();
    throw error;
  }
}

export function useSession() {
  return useContext(Session);
}

/** Whether somebody may do what is for `access`, with a row if there is one. The API decides again. */
export function allowed(user, access, owner) {
  if (access === "public") return true;
  if (access === "nobody" || !user) return false;
  return user.role === "staff" || access === "member" || (access === "owner" && (owner === undefined || owner === user.id));
}
