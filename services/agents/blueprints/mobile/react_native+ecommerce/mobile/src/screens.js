import Cart from "./screens/Cart.jsx";
import Order from "./screens/Order.jsx";
import Orders from "./screens/Orders.jsx";
import Product from "./screens/Product.jsx";
import Shop from "./screens/Shop.jsx";

/** Where the app begins. */
export const home = Shop;

/** The shop itself; reviews and the like are reached through the screens that every entity has. */
export const screens = { Product, Cart, Orders, Order };
