import { Link, Navigate, useNavigate } from "react-router";

import { api } from "../api/client.js";
import { formatMoney } from "../format.js";
import { useAction, useLoaded } from "../loading.js";
import Field, { readForm } from "../parts/Field.jsx";
import Problem from "../parts/Problem.jsx";
import { useSession } from "../session.jsx";

const ADDRESS = { name: "shipping_address", label: "Where to", type: "long_text", required: true, maxLength: 500 };
const METHOD = {
  name: "payment_method",
  label: "Payment",
  type: "choice",
  required: true,
  choices: ["card", "transfer", "cash_on_delivery"],
};

/** The cart, and ordering what is in it. */
export default function Cart() {
  const { user } = useSession();
  const navigate = useNavigate();
  const { data: cart, error, reload } = useLoaded(() => (user ? api.getCart() : Promise.resolve(null)), [user?.id]);
  const [change, changing] = useAction(async (product_id, quantity) => {
    await (quantity ? api.putCartItem({ product_id, body: { quantity } }) : api.removeCartItem({ product_id }));
    reload();
  });
  const [order, ordering] = useAction(async (form) => {
    const placed = await api.placeOrder({ body: readForm(form, [ADDRESS, METHOD]) });
    navigate(`/orders/${placed.id}`);
  });

  if (!user) return <Navigate to="/login" replace />;
  if (!cart) return error ? <Problem error={error} /> : <p className="quiet">Loading…</p>;
  return (
    <section>
      <h1>Cart</h1>
      {cart.items.map((line) => (
        <Line key={line.product_id} line={line} change={change} busy={changing.busy} />
      ))}
      <Problem error={changing.error} />
      {cart.items.length === 0 ? (
        <p className="quiet">
          It is empty. <Link to="/">To the shop</Link>
        </p>
      ) : (
        <>
          <p className="sum">
            <span>Together</span>
            <span>{formatMoney(cart.total_cents)}</span>
          </p>
          <form
            onSubmit={(event) => {
              event.preventDefault();
              order(event.currentTarget);
            }}
          >
            <Field field={ADDRESS} />
            <Field field={METHOD} />
            <Problem error={ordering.error} />
            <button disabled={ordering.busy || cart.items.some((line) => !line.available)}>Order and pay</button>
          </form>
        </>
      )}
    </section>
  );
}

function Line({ line, change, busy }) {
  return (
    <article className="row">
      <span>
        <Link to={`/products/${line.product_id}`}>{line.name}</Link>
        {!line.available && <span className="problem">not available in this quantity</span>}
      </span>
      <input
        className="quantity"
        type="number"
        aria-label={`How many of ${line.name}`}
        min={1}
        max={99}
        value={line.quantity}
        disabled={busy}
        onChange={(event) => event.target.value && change(line.product_id, Number(event.target.value))}
      />
      <span>{formatMoney(line.unit_price_cents * line.quantity)}</span>
      <button type="button" className="plain" disabled={busy} onClick={() => change(line.product_id, 0)}>
        Remove
      </button>
    </article>
  );
}
