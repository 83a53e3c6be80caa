import { useState } from "react";

import { api } from "../api/client.js";
import { formatMoney } from "../format.js";
import { useLoaded, usePages } from "../loading.js";
import { Choices, Input, Pages, Row } from "../parts.jsx";
import { useSession } from "../session.jsx";

/** The catalogue: by category and by words. */
export default function Shop({ navigation }) {
  const { user } = useSession();
  const [category_id, setCategory] = useState(null);
  const [q, setWords] = useState("");
  const categories = useLoaded(() => api.listCategories({ query: { limit: 100 } }), []);
  const pages = usePages(api.listProducts, { category_id, q }, [category_id, q]);

  return (
    <Pages
      pages={pages}
      empty="Nothing found."
      header={
        <>
          {user && <Row title="Cart" onPress={() => navigation.navigate("Cart")} />}
          {user && <Row title="Orders" onPress={() => navigation.navigate("Orders")} />}
          <Row title={user ? user.name : "Sign in"} onPress={() => navigation.navigate(user ? "Account" : "Login")} />
          <Input label="What are you looking for?" value={q} onChange={setWords} />
          <Choices
            label="Category"
            options={(categories.data?.items ?? []).map(({ id, name }) => [id, name])}
            value={category_id}
            onChange={setCategory}
          />
        </>
      }
    >
      {(product) => (
        <Row
          title={product.name}
          note={product.stock ? formatMoney(product.price_cents) : "sold out"}
          onPress={() => navigation.navigate("Product", { id: product.id })}
        />
      )}
    </Pages>
  );
}
