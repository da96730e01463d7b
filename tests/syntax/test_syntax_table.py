"""docs/syntaxes.md says of every syntax what each part makes of it; every cell is held here."""

import pytest
from syntax_cells import MODELS, PAGE, PARTS, page, sample

from rest_verl.syntax import syntax_names


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", MODELS)
def test_cell(name: str, part: str) -> None:
    assert PARTS[part](name), sample(name)


def test_the_page_is_what_the_command_writes() -> None:
    assert set(MODELS) == set(syntax_names())
    assert PAGE.read_text(encoding="utf-8") == page()
