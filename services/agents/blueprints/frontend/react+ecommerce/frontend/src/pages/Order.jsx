import { useParams } from "react-router";

import { api } from "../api/client.js";
import { formatMoney } from "../format.js";
import { useAction, useLoaded } from "../loading.js";
import Problem from "../parts/Problem.jsx";
import { useSession } from "../session.jsx";

/** An order: its items, where it is, and what may happen to it next. */
export default function Order() {
  const { id: order_id } = useParams();
  const { user } = useSession();
  const { data: order, error, reload } = useLoaded(() => api.getOrder({ order_id }), [order_id, user?.id]);
  const [act, { busy, error: refused }] = useAction(async (what) => {
    await what();
    reload();
  });

  if (!order) return error ? <Problem error={error} /> : <p className="quiet">Loading…</p>;
  const steps = stepsOf(order, user);
  return (
    <section>
      <div className="title">
        <h1>Order {order.id}</h1>
        <span>{order.status}</span>
      </div>
      {order.items.map((item) => (
        <p key={item.id} className="row">
          <span>{item.product_name}</span>
          <span className="quiet">
            {item.quantity} × {formatMoney(item.unit_price_cents)}
          </span>
          <span>{formatMoney(item.quantity * item.unit_price_cents)}</span>
        </p>
      ))}
      <p className="sum">
        <span>Together</span>
        <span>{formatMoney(order.total_cents)}</span>
      </p>
      <dl className="details">
        <div className="prose">
          <dt>To</dt>
          <dd>{order.shipping_address}</dd>
        </div>
        <div>
          <dt>Payment</dt>
          <dd>
            {order.payment.method.replaceAll("_", " ")}, {order.payment.status}
          </dd>
        </div>
      </dl>
      <Problem error={refused} />
      <p className="actions">
        {steps.map(([label, what]) => (
          <button key={label} type="button" className="plain" disabled={busy} onClick={() => act(what)}>
            {label}
          </button>
        ))}
      </p>
    </section>
  );
}

/** What may be done with the order now: the customer may cancel, the staff moves it on. */
function stepsOf({ id: order_id, status }, user) {
  const steps = [];
  if (user?.role === "staff") {
    if (status === "pending") {
      steps.push(["The money came", () => api.settlePayment({ order_id, body: { status: "captured" } })]);
      steps.push(["The payment failed", () => api.settlePayment({ order_id, body: { status: "failed" } })]);
    }
    if (status === "paid") steps.push(["It was shipped", () => api.advanceOrder({ order_id, body: { status: "shipped" } })]);
    if (status === "shipped") steps.push(["It arrived", () => api.advanceOrder({ order_id, body: { status: "delivered" } })]);
  }
  if (["pending", "paid"].includes(status)) steps.push(["Cancel the order", () => api.cancelOrder({ order_id })]);
  return steps;
}
