import { Image, Text } from "react-native";

import { api } from "../api/client.js";
import Fields from "../Fields.jsx";
import { formatMoney } from "../format.js";
import { useLoaded } from "../loading.js";
import { Button, Problem, Quiet, Row, Screen, Title } from "../parts.jsx";
import { useSession } from "../session.jsx";

const QUANTITY = [{ name: "quantity", label: "How many", type: "integer", default: 1 }];
const PICTURE = { width: "100%", aspectRatio: 4 / 3, borderRadius: 8 };

/** A product: buying it, and what others think of it. */
export default function Product({ navigation, route }) {
  const product_id = route.params.id;
  const { user } = useSession();
  const { data: product, error } = useLoaded(() => api.getProduct({ product_id }), [product_id]);

  async function buy(body) {
    await api.putCartItem({ product_id, body });
    navigation.navigate("Cart");
  }

  if (!product) return error ? <Problem error={error} /> : <Quiet>Loading…</Quiet>;
  const picture = product.image_url && { uri: product.image_url };
  return (
    <Screen>
      <Title>{product.name}</Title>
      {picture && <Image source={picture} style={PICTURE} accessibilityLabel={product.name} />}
      <Text>{formatMoney(product.price_cents)}</Text>
      {product.description && <Text>{product.description}</Text>}
      {product.stock === 0 && <Quiet>Sold out.</Quiet>}
      {product.stock > 0 && user && <Fields fields={QUANTITY} label="Put it in the cart" save={buy} />}
      {product.stock > 0 && !user && <Button label="Sign in to buy it" onPress={() => navigation.navigate("Login")} />}
      <Row
        title="Reviews"
        onPress={() => navigation.navigate("EntityList", { name: "review", where: { product_id }, title: "Reviews" })}
      />
    </Screen>
  );
}
