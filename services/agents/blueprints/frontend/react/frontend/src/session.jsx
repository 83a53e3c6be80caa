import { createContext, useCallback, useContext, useEffect, useMemo, useState } from "react";

import { api, token } from "./api/client.js";

const Session = createContext(null);

/** Knows who is signed in: `user` is null for a visitor. */
export function SessionProvider({ children }) {
  const [user, setUser] = useState(null);
  const [known, setKnown] = useState(!token.get());

  useEffect(() => {
    if (!token.get()) return;
    api
      .getMe()
      .then(setUser)
      .catch((error) => error.status === 401 && token.clear())
      .finally(() => setKnown(true));
  }, []);

  const enter = useCallback((answer) => {
    token.set(answer.token);
    setUser(answer.user);
  }, []);
  const leave = useCallback(async () => {
    await api.logout().catch(() => {}); // the token may have run out already: the end is the same
    token.clear();
    setUser(null);
  }, []);
  const session = useMemo(() => ({ user, enter, leave }), [user, enter, leave]);

  return known ? <Session.Provider value={session}>{children}</Session.Provider> : null;
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
