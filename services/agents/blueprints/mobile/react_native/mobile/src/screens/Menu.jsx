import { entities } from "../entities.js";
import { Row, Screen } from "../parts.jsx";
import { allowed, useSession } from "../session.jsx";

/** What there is to see. */
export default function Menu({ navigation }) {
  const { user } = useSession();
  return (
    <Screen>
      {entities
        .filter((entity) => allowed(user, entity.access.read))
        .map((entity) => (
          <Row
            key={entity.name}
            title={entity.labels}
            onPress={() => navigation.navigate("EntityList", { name: entity.name, title: entity.labels })}
          />
        ))}
      <Row title={user ? user.name : "Sign in"} onPress={() => navigation.navigate(user ? "Account" : "Login")} />
    </Screen>
  );
}
