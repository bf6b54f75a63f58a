"""`control:` beyond units and interlocks: droop, AGC, schedules, reactive power, fleets, locations."""
