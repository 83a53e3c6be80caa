import { entities } from "./entities.js";
import Cart from "./pages/Cart.jsx";
import Order from "./pages/Order.jsx";
import Orders from "./pages/Orders.jsx";
import ProductDetail from "./pages/ProductDetail.jsx";
import ProductList from "./pages/ProductList.jsx";

/** What the menu offers, and to whom. */
export const links = [
  { to: "/", label: "Shop", access: "public" },
  { to: "/cart", label: "Cart", access: "member" },
  { to: "/orders", label: "Orders", access: "member" },
  ...entities.map((entity) => ({ to: entity.route, label: entity.labels, access: "staff" })),
  { to: "/users", label: "Accounts", access: "staff" },
];

/** The shop itself; the staff's pages for each entity come on top. */
export const pages = [
  { path: "/", element: <ProductList /> },
  { path: "/products/:id", element: <ProductDetail /> },
  { path: "/cart", element: <Cart /> },
  { path: "/orders", element: <Orders /> },
  { path: "/orders/:id", element: <Order /> },
];
