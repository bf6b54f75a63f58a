"""What GridGate costs and how fast it is, each figure beside its budget or beside a peer in the same run."""
