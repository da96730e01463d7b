"""Tools that are an environment's own methods."""

import asyncio

import pytest

from rest_verl.environments.execution import run_call
from rest_verl.environments.methods import MethodTools


class Box(MethodTools):
    tool_methods = ("put", "show", "weigh")
    secret = "hidden"

    def __init__(self) -> None:
        self.things: list[str] = []

    def put(self, thing: str, times: int = 1) -> dict:
        """Put a thing in.

        Args:
            thing: What to put in.
            times: How often.
        """
        self.things += [thing] * times
        return {"things": self.things}

    def show(self) -> str:
        """Show what is in."""
        return ", ".join(self.things)

    async def weigh(self) -> dict:
        """Weigh what is in."""
        return {"kilos": len(self.things)}

    def burn(self) -> str:
        raise AssertionError("not a tool")


def test_tools_follow_signatures_and_docstrings() -> None:
    put, show, _ = (tool["function"] for tool in Box().tools)
    assert put == {
        "name": "put",
        "description": "Put a thing in.",
        "parameters": {
            "type": "object",
            "properties": {
                "thing": {"type": "string", "description": "What to put in."},
                "times": {"type": "integer", "description": "How often."},
            },
            "required": ["thing"],
        },
    }
    assert (show["name"], show["parameters"]["properties"]) == ("show", {})


def test_results_are_text_or_json() -> None:
    box = Box()
    assert box.call("put", {"thing": "ä", "times": 2}) == '{"things": ["ä", "ä"]}'
    assert box.call("show", {}) == "ä, ä"


def test_async_methods_are_awaited() -> None:
    observation = asyncio.run(run_call(Box().call, "weigh", {}, 10.0))
    assert observation == ('{"kilos": 0}', None)


def test_a_forgotten_comma_is_refused() -> None:
    with pytest.raises(
        TypeError, match=r'Shelf.tool_methods is the text "show": write \("show",\)'
    ):
        type("Shelf", (Box,), {"tool_methods": "show"})


@pytest.mark.parametrize(
    ("name", "arguments", "observation"),
    [
        ("burn", {}, "Error: no tool of this name; there are put, show, weigh"),  # not in the table
        ("secret", {}, "Error: no tool of this name; there are put, show, weigh"),  # an attribute
        ("__init__", {}, "Error: no tool of this name; there are put, show, weigh"),
        ("put", {}, "Error: put: missing a required argument: 'thing'"),
        ("put", {"thing": "a", "self": 1}, "Error: put: got an unexpected keyword argument 'self'"),
    ],
)
def test_what_is_no_call_of_a_tool_is_an_observation(
    name: str, arguments: dict, observation: str
) -> None:
    box = Box()
    assert box.call(name, arguments) == observation
    assert box.things == []
