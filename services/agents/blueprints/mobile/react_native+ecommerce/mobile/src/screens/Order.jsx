import { Text } from "react-native";

import { api } from "../api/client.js";
import { formatMoney } from "../format.js";
import { useAction, useLoaded } from "../loading.js";
import { Button, Problem, Quiet, Screen, Title } from "../parts.jsx";

/** An order: its items, where it is, and cancelling it while that is possible. */
export default function Order({ route }) {
  const order_id = route.params.id;
  const { data: order, error, reload } = useLoaded(() => api.getOrder({ order_id }), [order_id]);
  const [cancel, cancelling] = useAction(async () => {
    await api.cancelOrder({ order_id });
    reload();
  });

  if (!order) return error ? <Problem error={error} /> : <Quiet>Loading…</Quiet>;
  return (
    <Screen>
      <Title>{`${order.status}: ${formatMoney(order.total_cents)}`}</Title>
      {order.items.map((item) => (
        <Text key={item.id}>{`${item.quantity} × ${item.product_name}`}</Text>
      ))}
      <Quiet>{order.shipping_address}</Quiet>
      <Quiet>{`${order.payment.method.replaceAll("_", " ")}, ${order.payment.status}`}</Quiet>
      <Problem error={cancelling.error} />
      {["pending", "paid"].includes(order.status) && (
        <Button plain label="Cancel the order" busy={cancelling.busy} onPress={() => cancel()} />
      )}
    </Screen>
  );
}
