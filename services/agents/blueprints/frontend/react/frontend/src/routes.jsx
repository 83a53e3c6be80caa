import { Navigate } from "react-router";

import { entities } from "./entities.js";

/** What the menu offers, and to whom. */
export const links = [
  ...entities.map((entity) => ({ to: entity.route, label: entity.labels, access: entity.access.read })),
  { to: "/users", label: "Accounts", access: "staff" },
];

/** Pages beside those that every entity has. */
export const pages = [{ path: "/", element: <Navigate to={entities[0]?.route ?? "/account"} replace /> }];
