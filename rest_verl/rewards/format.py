"""Does the answer have the required parts, in order, each once? (docs/reward-rule.md, section 1)"""

from __future__ import annotations

from rest_verl.rewards.ground_truth import GroundTruth
from rest_verl.syntax import Reading, Syntax


def has_format(answer: Reading, truth: GroundTruth, syntax: Syntax) -> bool:
    """True if the answer has the form that the ground truth asks for.

    ``toolrl``: think, then one tool_call block and/or response, as in the ground truth; what is in
    the block does not matter here, and text around the parts is let through (released code).
    ``chat_template``: the form of the model's syntax, whose calls have to be whole; for ``no_call``
    the same without any call.
    """
    if truth.format == "toolrl":
        if truth.expect == "no_call":
            return answer.structure == "TtRr"
        return answer.structure == ("TtCcRr" if truth.response_too else "TtCc")
    return syntax.has_form(answer, wants_calls=truth.expect != "no_call")
