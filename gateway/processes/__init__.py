"""What a process under the supervisor is, on both sides: its plan, its life, its end."""
