"""The reference agents: they write a real project, from requirements to tests, from templates and rules alone."""
