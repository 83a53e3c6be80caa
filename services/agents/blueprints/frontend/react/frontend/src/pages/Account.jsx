import { Navigate } from "react-router";

import { api } from "../api/client.js";
import { useAction } from "../loading.js";
import Problem from "../parts/Problem.jsx";
import { useSession } from "../session.jsx";

/** One's own account: who one is, another password, signing out. */
export default function Account() {
  const { user, leave } = useSession();
  const [change, { busy, error }] = useAction(async (form) => {
    const body = { old_password: form.elements.old.value, new_password: form.elements.new.value };
    await api.changePassword({ body });
    form.reset();
  });

  if (!user) return <Navigate to="/login" replace />;
  return (
    <section className="narrow">
      <div className="title">
        <h1>{user.name}</h1>
        <button type="button" className="plain" onClick={leave}>
          Sign out
        </button>
      </div>
      <p className="quiet">
        {user.email}, {user.role}
      </p>
      <h2>Another password</h2>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          change(event.currentTarget);
        }}
      >
        <div className="field">
          <label htmlFor="old">Now</label>
          <input id="old" name="old" type="password" required autoComplete="current-password" />
        </div>
        <div className="field">
          <label htmlFor="new">From now on</label>
          <input id="new" name="new" type="password" required minLength={10} autoComplete="new-password" />
        </div>
        <Problem error={error} />
        <button disabled={busy}>Change it</button>
      </form>
    </section>
  );
}
