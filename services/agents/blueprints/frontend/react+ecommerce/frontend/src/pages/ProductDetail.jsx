import { Link, useNavigate, useParams } from "react-router";

import { api } from "../api/client.js";
import { formatMoney } from "../format.js";
import { useAction, useLoaded, usePages } from "../loading.js";
import Field, { readForm } from "../parts/Field.jsx";
import Pages from "../parts/Pages.jsx";
import Problem from "../parts/Problem.jsx";
import { useSession } from "../session.jsx";

const RATING = { name: "rating", label: "Stars, 1 to 5", type: "integer", required: true, min: 1, max: 5, default: 5 };
const TEXT = { name: "text", label: "What others should know", type: "long_text", maxLength: 2000 };

/** A product: buying it, and what others think of it. */
export default function ProductDetail() {
  const { id } = useParams();
  const { user } = useSession();
  const { data: product, error } = useLoaded(() => api.getProduct({ product_id: id }), [id]);

  if (!product) return error ? <Problem error={error} /> : <p className="quiet">Loading…</p>;
  return (
    <section>
      <div className="title">
        <h1>{product.name}</h1>
        <span className="price">{formatMoney(product.price_cents)}</span>
      </div>
      {product.image_url && <img className="picture" src={product.image_url} alt={product.name} />}
      <p>{product.description}</p>
      {product.stock === 0 ? <p className="quiet">Sold out.</p> : <Buy product={product} user={user} />}
      <Reviews product={product} user={user} />
    </section>
  );
}

function Buy({ product, user }) {
  const navigate = useNavigate();
  const [put, { busy, error }] = useAction(async (quantity) => {
    await api.putCartItem({ product_id: product.id, body: { quantity } });
    navigate("/cart");
  });

  if (!user) return <Link to="/login">Sign in to buy it</Link>;
  return (
    <form
      className="search"
      onSubmit={(event) => {
        event.preventDefault();
        put(Number(event.currentTarget.elements.quantity.value));
      }}
    >
      <input
        className="quantity"
        name="quantity"
        type="number"
        aria-label="How many"
        min={1}
        max={Math.min(99, product.stock)}
        defaultValue={1}
      />
      <button disabled={busy}>Put it in the cart</button>
      <Problem error={error} />
    </form>
  );
}

function Reviews({ product, user }) {
  const pages = usePages(api.listReviews, { product_id: product.id }, [product.id]);
  const [review, { busy, error }] = useAction(async (form) => {
    await api.createReview({ body: { product_id: product.id, ...readForm(form, [RATING, TEXT]) } });
    form.reset();
    pages.reload();
  });

  return (
    <section className="children">
      <h2>Reviews</h2>
      <Pages pages={pages} empty="Nobody has said anything yet.">
        {({ id, rating, text }) => (
          <p key={id} className="row">
            <span>{text}</span>
            <span aria-label={`${rating} of 5 stars`}>{"★".repeat(rating)}</span>
          </p>
        )}
      </Pages>
      {user && (
        <details>
          <summary>Say what you think</summary>
          <form
            onSubmit={(event) => {
              event.preventDefault();
              review(event.currentTarget);
            }}
          >
            <Field field={RATING} />
            <Field field={TEXT} />
            <Problem error={error} />
            <button disabled={busy}>Say it</button>
          </form>
        </details>
      )}
    </section>
  );
}
