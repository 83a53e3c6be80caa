"""The planner: turns a described project into a plan. Asks no other service and waits for no one."""
