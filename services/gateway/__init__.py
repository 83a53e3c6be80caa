"""Gateway: the HTTP API and the dashboard, for whoever does not speak NATS."""
