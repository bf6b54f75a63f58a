"""What the control page is made of: facts of the plan, what stands in the way of a command, tests and evidence."""
