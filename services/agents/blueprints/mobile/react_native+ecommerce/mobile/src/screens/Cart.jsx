import { api } from "../api/client.js";
import Fields from "../Fields.jsx";
import { formatMoney } from "../format.js";
import { useAction, useLoaded } from "../loading.js";
import { Button, Problem, Quiet, Row, Screen, Title } from "../parts.jsx";

const CHECKOUT = [
  { name: "shipping_address", label: "Where to", type: "long_text" },
  {
    name: "payment_method",
    label: "Payment",
    type: "choice",
    required: true,
    default: "card",
    choices: ["card", "transfer", "cash_on_delivery"],
  },
];

/** The cart, and ordering what is in it. */
export default function Cart({ navigation }) {
  const { data: cart, error, reload } = useLoaded(() => api.getCart(), []);
  const [remove, removing] = useAction(async (product_id) => {
    await api.removeCartItem({ product_id });
    reload();
  });

  async function order(body) {
    const placed = await api.placeOrder({ body });
    navigation.replace("Order", { id: placed.id });
  }

  if (!cart) return error ? <Problem error={error} /> : <Quiet>Loading…</Quiet>;
  return (
    <Screen>
      {cart.items.map((line) => (
        <Line key={line.product_id} line={line} navigation={navigation} remove={remove} busy={removing.busy} />
      ))}
      <Problem error={removing.error} />
      <Title>{cart.items.length ? formatMoney(cart.total_cents) : "The cart is empty"}</Title>
      {cart.items.length > 0 && <Fields fields={CHECKOUT} label="Order and pay" save={order} />}
    </Screen>
  );
}

function Line({ line, navigation, remove, busy }) {
  const price = `${line.quantity} × ${formatMoney(line.unit_price_cents)}`;
  return (
    <>
      <Row
        title={line.name}
        note={line.available ? price : `${price}, not available in this quantity`}
        onPress={() => navigation.navigate("Product", { id: line.product_id })}
      />
      <Button plain label={`Remove ${line.name}`} busy={busy} onPress={() => remove(line.product_id)} />
    </>
  );
}
