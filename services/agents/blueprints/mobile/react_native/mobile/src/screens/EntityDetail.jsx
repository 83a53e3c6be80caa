import { Text } from "react-native";

import { api } from "../api/client.js";
import { entities, entityNamed } from "../entities.js";
import { formatValue } from "../format.js";
import { useAction, useLoaded } from "../loading.js";
import { Button, Problem, Quiet, Row, Screen, Title } from "../parts.jsx";
import { allowed, useSession } from "../session.jsx";

/** One of a kind: what it says, changing and removing it, and what belongs to it. */
export default function EntityDetail({ navigation, route }) {
  const { name, id, changed } = route.params;
  const entity = entityNamed(name);
  const { user } = useSession();
  const which = { [`${name}_id`]: id };
  const { data: row, error } = useLoaded(() => api[entity.operations.get](which), [name, id, changed, user?.id]);
  const [remove, removing] = useAction(async () => {
    await api[entity.operations.remove](which);
    navigation.popTo("EntityList", { name, title: entity.labels });
  });

  if (!row) return error ? <Problem error={error} /> : <Quiet>Loading…</Quiet>;
  const mine = allowed(user, entity.access.change, entity.owner ? row[entity.owner] : undefined);
  return (
    <Screen>
      <Title>{formatValue({}, row[entity.headline])}</Title>
      {entity.fields
        .filter((field) => field.name !== entity.headline && !field.references)
        .map((field) => (
          <Text key={field.name}>
            <Quiet>{field.label}: </Quiet>
            {formatValue(field, row[field.name])}
          </Text>
        ))}
      {childrenOf(entity).map(([child, field]) => (
        <Row
          key={child.name}
          title={child.labels}
          onPress={() =>
            navigation.push("EntityList", { name: child.name, where: { [field]: id }, title: child.labels })
          }
        />
      ))}
      <Problem error={removing.error} />
      {mine && entity.operations.change && (
        <Button plain label="Change" onPress={() => navigation.navigate("EntityForm", { name, row, title: entity.label })} />
      )}
      {mine && entity.operations.remove && <Button plain label="Remove" busy={removing.busy} onPress={() => remove()} />}
    </Screen>
  );
}

/** Kinds that refer to this one and can be listed by it. */
function childrenOf(entity) {
  return entities.flatMap((child) =>
    child.fields
      .filter((field) => field.references === entity.name && child.filters.includes(field.name))
      .slice(0, 1)
      .map((field) => [child, field.name]),
  );
}
