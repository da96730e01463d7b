"""BFCL's rules for one turn: is the state the ground truth's, and are its outputs there?

Source: `multi_turn_checker` of bfcl-eval (Apache-2.0), in `eval_checker/multi_turn_eval`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

_MISSING = object()


def differing_class(model: Mapping[str, Any], truth: Mapping[str, Any]) -> str | None:
    """The state rule: the first class of which a public attribute differs between the instances."""
    for name, instance in truth.items():
        state = vars(model[name])
        for attribute, value in vars(instance).items():
            if not attribute.startswith("_") and _differ(state.get(attribute, _MISSING), value):
                return name
    return None


def holds_outputs(outputs: Counter[str], expected: Iterable[str]) -> bool:
    """The response rule: the turn's expected outputs are all among the outputs so far, each as
    often, in any order."""
    return Counter(expected) <= outputs


def _differ(left: Any, right: Any) -> bool:
    try:
        return bool(left != right)
    except RecursionError:  # a directory that the model copied into itself
        return True
