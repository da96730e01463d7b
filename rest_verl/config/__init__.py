"""The hydra config group `rest`; a regular package, since hydra warns of one without this file."""
