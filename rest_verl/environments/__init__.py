"""Tool environments and the conversation with them, without verl."""
