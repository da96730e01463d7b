"""Our search-path plugin, as Hydra finds it."""

from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin


def plugin() -> SearchPathPlugin:
    found = Plugins.instance().discover(SearchPathPlugin)
    (ours,) = [kind for kind in found if kind.__name__ == "RestVerlSearchPath"]
    return ours()
