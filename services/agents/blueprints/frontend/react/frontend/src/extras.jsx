/** What the page of an entity shows beside its fields: its name to a component that gets the `row`. */
export const extras = {};
