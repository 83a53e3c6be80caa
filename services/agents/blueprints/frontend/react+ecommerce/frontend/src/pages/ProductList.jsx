import { useState } from "react";
import { Link, useSearchParams } from "react-router";

import { api } from "../api/client.js";
import { formatMoney } from "../format.js";
import { useLoaded, usePages } from "../loading.js";
import Pages from "../parts/Pages.jsx";

/** The catalogue: by category and by words. */
export default function ProductList() {
  const [query, setQuery] = useSearchParams();
  const [words, setWords] = useState(query.get("q") ?? "");
  const category = query.get("category_id") ?? "";
  const categories = useLoaded(() => api.listCategories({ query: { limit: 100 } }), []);
  const asked = { category_id: category, q: query.get("q") ?? "" };
  const pages = usePages(api.listProducts, asked, [asked.category_id, asked.q]);

  function ask(changes) {
    const said = Object.entries({ ...asked, ...changes }).filter(([, value]) => value);
    setQuery(Object.fromEntries(said));
  }

  return (
    <section>
      <form
        className="search"
        role="search"
        onSubmit={(event) => {
          event.preventDefault();
          ask({ q: words });
        }}
      >
        <input
          type="search"
          aria-label="Search for products"
          placeholder="What are you looking for?"
          value={words}
          onChange={(event) => setWords(event.target.value)}
        />
        <button>Search</button>
      </form>
      <div className="chips" role="group" aria-label="Categories">
        {[{ id: "", name: "Everything" }, ...(categories.data?.items ?? [])].map(({ id, name }) => {
          const chosen = String(id) === category;
          return (
            <button key={id} type="button" className={chosen ? "" : "plain"} aria-pressed={chosen} onClick={() => ask({ category_id: id })}>
              {name}
            </button>
          );
        })}
      </div>
      <div className="cards">
        <Pages pages={pages} empty="Nothing found.">
          {(product) => <Card key={product.id} product={product} />}
        </Pages>
      </div>
    </section>
  );
}

function Card({ product }) {
  return (
    <Link className="card" to={`/products/${product.id}`}>
      {product.image_url && <img src={product.image_url} alt="" loading="lazy" />}
      <span>{product.name}</span>
      <span className="price">{formatMoney(product.price_cents)}</span>
      {product.stock === 0 && <span className="quiet">sold out</span>}
    </Link>
  );
}
