const CURRENCY = process.env.EXPO_PUBLIC_CURRENCY ?? "EUR";
const money = new Intl.NumberFormat(undefined, { style: "currency", currency: CURRENCY });

export function formatMoney(cents) {
  return money.format(cents / 100);
}

/** A value as a person reads it. */
export function formatValue(field, value) {
  if (value === null || value === undefined || value === "") return "–";
  if (field.type === "money") return formatMoney(value);
  if (field.type === "boolean") return value ? "yes" : "no";
  if (field.type === "timestamp") return new Date(value).toLocaleString();
  if (field.type === "choice") return value.replaceAll("_", " ");
  return String(value);
}
