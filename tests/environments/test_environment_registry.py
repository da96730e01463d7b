"""Environments are made by the names under which they were registered, and by nothing else."""

import pytest

from rest_verl.environments.base import (
    Verdict,
    dense_score,
    make_environment,
    register_environment,
)


def test_a_registered_environment_is_made_of_a_task_of_its_own() -> None:
    @register_environment("registry test")
    class Kept:
        def __init__(self, task: dict) -> None:
            self.task = task

    task = {"a": 1}
    made = make_environment("registry test", task)
    assert made.task == task
    made.task["a"] = 2
    assert task == {"a": 1}


def test_an_unknown_name_says_which_there_are_and_how_to_add_one() -> None:
    with pytest.raises(ValueError, match=r"unknown environment 'os'.*VERL_USE_EXTERNAL_MODULES"):
        make_environment("os", {})


def test_a_name_belongs_to_one_class() -> None:
    @register_environment("registry taken")
    class First: ...

    register_environment("registry taken")(First)  # loaded again: no harm
    with pytest.raises(ValueError, match="registered already"):

        @register_environment("registry taken")
        class Second: ...


@pytest.mark.parametrize(
    ("outcome", "share", "score"),
    [
        ([Verdict(True), Verdict(True)], 0.5, 1.0),
        ([Verdict(True), Verdict(False)], 0.5, 0.5),
        ([Verdict(True), Verdict(False, right_calls=0.5)], 0.5, 0.625),
        ([Verdict(False, right_calls=1.0)], 0.0, 0.0),
        ([], 0.5, 0.0),
    ],
)
def test_dense_score_by_hand(outcome: list[Verdict], share: float, score: float) -> None:
    assert dense_score(outcome, share) == score
