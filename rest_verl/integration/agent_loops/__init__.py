"""verl's agent loops: one answer with the row's tools, and conversations with an environment."""
