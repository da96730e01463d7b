"""Which of verl's platforms the environment asks for."""

import os


def runs_on_cpu() -> bool:
    """True where VERL_PLATFORM=cpu; nothing of `rest_verl.cpu` is imported elsewhere."""
    return os.environ.get("VERL_PLATFORM", "").strip().lower() == "cpu"
