import { useState } from "react";
import { useNavigate } from "react-router";

import { api } from "../api/client.js";
import { useAction } from "../loading.js";
import Field, { readForm } from "../parts/Field.jsx";
import Problem from "../parts/Problem.jsx";
import { useSession } from "../session.jsx";

const NAME = { name: "name", label: "Name", type: "text", required: true, maxLength: 100 };
const EMAIL = { name: "email", label: "E-mail address", type: "email", required: true };

/** Signing in, or opening an account. */
export default function Login() {
  const { enter } = useSession();
  const navigate = useNavigate();
  const [isNew, setIsNew] = useState(false);
  const fields = isNew ? [NAME, EMAIL] : [EMAIL];
  const [submit, { busy, error }] = useAction(async (form) => {
    const body = { ...readForm(form, fields), password: form.elements.password.value };
    enter(await (isNew ? api.register({ body }) : api.login({ body })));
    navigate("/");
  });

  return (
    <section className="narrow">
      <h1>{isNew ? "Open an account" : "Sign in"}</h1>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          submit(event.currentTarget);
        }}
      >
        {fields.map((field) => (
          <Field key={field.name} field={field} />
        ))}
        <div className="field">
          <label htmlFor="password">Password</label>
          <input
            id="password"
            name="password"
            type="password"
            required
            minLength={isNew ? 10 : undefined}
            autoComplete={isNew ? "new-password" : "current-password"}
          />
        </div>
        <Problem error={error} />
        <button disabled={busy}>{isNew ? "Open it" : "Sign in"}</button>
      </form>
      <button type="button" className="plain" onClick={() => setIsNew(!isNew)}>
        {isNew ? "I have an account" : "I have no account yet"}
      </button>
    </section>
  );
}
