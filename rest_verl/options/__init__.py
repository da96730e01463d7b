"""How a user's words are read: lists, numbers, and the name that a misspelt one was meant for."""
