import { api } from "../api/client.js";
import { formatMoney } from "../format.js";
import { usePages } from "../loading.js";
import { Pages, Row } from "../parts.jsx";

/** One's orders; for the staff everybody's. */
export default function Orders({ navigation }) {
  const pages = usePages(api.listOrders, {}, []);
  return (
    <Pages pages={pages} empty="Nothing ordered yet.">
      {(order) => (
        <Row
          title={`Order ${order.id}`}
          note={`${order.status}, ${formatMoney(order.total_cents)}`}
          onPress={() => navigation.navigate("Order", { id: order.id })}
        />
      )}
    </Pages>
  );
}
