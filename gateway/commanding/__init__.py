"""What the command broker asks and keeps: who may, what was done, and the writes of the control cycle."""
