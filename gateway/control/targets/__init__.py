"""Where targets come from beside a master's set-point: AGC, the schedule, a fleet's dispatch; and reactive power."""
