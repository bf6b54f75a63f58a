"""The whole gateway under more than it holds: what it sheds must be counted and told, and control must not notice."""
