import { useState } from "react";

import { api } from "../api/client.js";
import Fields from "../Fields.jsx";
import { Button, Screen } from "../parts.jsx";
import { useSession } from "../session.jsx";

const NAME = { name: "name", label: "Name", type: "text" };
const EMAIL = { name: "email", label: "E-mail address", type: "email" };
const PASSWORD = { name: "password", label: "Password", type: "password" };

/** Signing in, or opening an account. */
export default function Login({ navigation }) {
  const { enter } = useSession();
  const [isNew, setIsNew] = useState(false);

  async function save(body) {
    await enter(await (isNew ? api.register({ body }) : api.login({ body })));
    navigation.goBack();
  }

  return (
    <Screen>
      <Fields
        key={String(isNew)}
        fields={isNew ? [NAME, EMAIL, PASSWORD] : [EMAIL, PASSWORD]}
        label={isNew ? "Open an account" : "Sign in"}
        save={save}
      />
      <Button plain label={isNew ? "I have an account" : "I have no account yet"} onPress={() => setIsNew(!isNew)} />
    </Screen>
  );
}
