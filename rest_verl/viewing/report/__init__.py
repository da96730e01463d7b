"""The training report: what a run did, in curves, tables and remarks."""
