"""Does the answer have the required parts, in order, each once? (method, section 5)"""

from __future__ import annotations

import re

from rest_verl.rewards.ground_truth import GroundTruth
from rest_verl.syntax.tool_calls import ParsedResponse

_hermes_calls = re.compile("(?:Tt)?(?:Cc)+").fullmatch


def has_format(answer: ParsedResponse, truth: GroundTruth) -> bool:
    """True if the answer has the form that the ground truth asks for.

    ``toolrl``: think, then one tool_call block and/or response, as in the ground truth; what is in
    the block does not matter here, and text around the parts is let through (released code).
    ``chat_template``: think if any, then one or more well-formed tool_call blocks; for ``no_call``
    no tool_call tag. ``<response>`` is no tag of this syntax, only text.
    """
    structure = answer.structure
    if truth.format == "toolrl":
        if truth.expect == "no_call":
            return structure == "TtRr"
        return structure == ("TtCcRr" if truth.response_too else "TtCc")
    structure = structure.replace("R", "").replace("r", "")
    if truth.expect == "no_call":
        return structure in ("", "Tt")
    return answer.well_formed and _hermes_calls(structure) is not None
