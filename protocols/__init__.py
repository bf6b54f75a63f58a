"""One folder per protocol. `gateway.registry` finds them; nothing imports them by name."""
