"""Reading and writing files whole: JSON lines in, nothing half-written out."""
