import Menu from "./screens/Menu.jsx";

/** Where the app begins. */
export const home = Menu;

/** Screens beside those that every entity has. */
export const screens = {};
