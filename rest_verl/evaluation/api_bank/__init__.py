"""API-Bank, as ToolRL and ResT evaluate it."""
