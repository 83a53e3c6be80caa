"""Resource manager: who may hold how much of what, for how long."""
