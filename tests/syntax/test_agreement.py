"""All readers agree on generated answers; tests/agreement.py runs more of them."""

import logging
from collections.abc import Iterator

import pytest
from agreement_cases import ALL_CUTS, run_case

from rest_verl.syntax import syntax_names


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """verl's parsers log what they cannot read, an answer at a time."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", syntax_names())
def test_all_readers_agree(name: str) -> None:
    index, step = syntax_names().index(name), len(syntax_names())
    for number in range(1, 1 + ALL_CUTS):  # the last one is cut off at every byte
        run_case(seed=1, number=index + step * number)
