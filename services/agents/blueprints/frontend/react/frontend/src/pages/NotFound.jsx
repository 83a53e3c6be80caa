import { Link } from "react-router";

export default function NotFound() {
  return (
    <section>
      <h1>There is nothing here</h1>
      <Link to="/">Back to the beginning</Link>
    </section>
  );
}
