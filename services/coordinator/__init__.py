"""Coordinator: carries plans out, by the protocol that each project chose."""
