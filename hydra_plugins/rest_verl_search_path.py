"""Lets every Hydra application of this environment (verl's included) find `+rest=<preset>`."""

import sys
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class RestVerlSearchPath(SearchPathPlugin):
    """Appends rest_verl's config groups, so that a user's own files still come first.

    For verl's training command it also checks the arguments: Hydra calls this before it reads them.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append(provider="rest_verl", path="pkg://rest_verl.config")
        if Path(sys.argv[0]).name == "main_ppo.py":
            _check_arguments()


def _check_arguments() -> None:
    from rest_verl.integration.checks import ReSTConfigError, check_arguments
    from rest_verl.integration.overrides import (
        UnreadableOverride,
        overrides_among,
        refuse_unreadable,
    )

    try:
        refuse_unreadable(overrides_among(sys.argv[1:]))
        check_arguments(sys.argv[1:])
    except (ReSTConfigError, UnreadableOverride) as error:
        raise SystemExit(f"rest_verl: {error}") from None
