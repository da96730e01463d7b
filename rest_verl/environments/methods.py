"""Tools that are an environment's own methods, described by their signatures and docstrings."""

import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from transformers.utils import get_json_schema


class MethodTools:
    """Gives an environment `tools` and `call` from the methods that it names in `tool_methods`.

    Each method needs type hints and a docstring in Google's style, with an `Args:` line for every
    argument: from them come the schema that the model sees. Only the named methods can be called;
    an `async` one is awaited.
    """

    tool_methods: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if isinstance(named := getattr(cls, "tool_methods", ()), str):
            raise TypeError(
                f'{cls.__name__}.tool_methods is the text "{named}": write ("{named}",)'
            )

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The tools in OpenAI's layout."""
        schemas = [get_json_schema(self._method(name)) for name in self.tool_methods]
        for schema in schemas:
            schema["function"].pop("return", None)  # OpenAI's layout has no place for it
        return schemas

    def call(self, name: str, arguments: dict[str, Any]) -> str | Awaitable[str]:
        """The method's result, or what awaits it: text as it is, anything else as JSON."""
        if name not in self.tool_methods:
            return f"Error: no tool of this name; there are {', '.join(self.tool_methods)}"
        method = self._method(name)
        try:
            bound = inspect.signature(method).bind(**arguments)
        except TypeError as error:
            return f"Error: {name}: {error}"
        result = method(*bound.args, **bound.kwargs)
        return _awaited(result) if inspect.isawaitable(result) else _as_text(result)

    def _method(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self, name)  # a name of the class's own table
        return method


def _as_text(result: Any) -> str:
    return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)


async def _awaited(result: Awaitable[Any]) -> str:
    return _as_text(await result)
