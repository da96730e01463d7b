"""What a model writes: tool calls in text. Imports no other room."""
