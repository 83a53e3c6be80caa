import { Link, Navigate } from "react-router";

import { api } from "../api/client.js";
import { formatMoney } from "../format.js";
import { usePages } from "../loading.js";
import Pages from "../parts/Pages.jsx";
import { useSession } from "../session.jsx";

/** One's orders; for the staff everybody's. */
export default function Orders() {
  const { user } = useSession();
  const pages = usePages(user ? api.listOrders : () => Promise.resolve({ items: [], next: null }), {}, [user?.id]);

  if (!user) return <Navigate to="/login" replace />;
  return (
    <section>
      <h1>Orders</h1>
      <Pages pages={pages} empty="Nothing ordered yet.">
        {(order) => (
          <p key={order.id} className="row">
            <Link to={`/orders/${order.id}`}>Order {order.id}</Link>
            <span className="quiet">{new Date(order.created_at).toLocaleDateString()}</span>
            <span>{order.status}</span>
            <span>{formatMoney(order.total_cents)}</span>
          </p>
        )}
      </Pages>
    </section>
  );
}
