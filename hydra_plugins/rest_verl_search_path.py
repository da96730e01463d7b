"""Lets `+rest=<preset>` be found by every Hydra application of this environment (verl's included)."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class RestVerlSearchPath(SearchPathPlugin):
    """Appends rest_verl's config groups, so that a user's own files still come first."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append(provider="rest_verl", path="pkg://rest_verl.config")
