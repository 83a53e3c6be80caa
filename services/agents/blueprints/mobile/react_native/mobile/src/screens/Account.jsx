import { api } from "../api/client.js";
import Fields from "../Fields.jsx";
import { Button, Quiet, Screen, Title } from "../parts.jsx";
import { useSession } from "../session.jsx";

const PASSWORDS = [
  { name: "old_password", label: "Password now", type: "password" },
  { name: "new_password", label: "Password from now on", type: "password" },
];

/** One's own account: who one is, another password, signing out. */
export default function Account({ navigation }) {
  const { user, leave } = useSession();

  async function signOut() {
    navigation.popToTop();
    await leave();
  }

  if (!user) return null;
  return (
    <Screen>
      <Title>{user.name}</Title>
      <Quiet>{user.email}</Quiet>
      <Fields
        fields={PASSWORDS}
        label="Change the password"
        save={async (body) => {
          await api.changePassword({ body });
          navigation.goBack();
        }}
      />
      <Button plain label="Sign out" onPress={signOut} />
    </Screen>
  );
}
