"""Those who are told: each a process of its own that reconnects for ever and writes down what it hears."""
