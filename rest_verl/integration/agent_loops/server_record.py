"""What the inference server says beside the tokens, gathered over a conversation's requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_SUMMED = "spec_num_"
"""How the counts of speculative decoding begin; they add up."""


@dataclass
class ServerRecord:
    """verl's rules for a rollout of several requests."""

    extra_fields: dict[str, Any] = field(default_factory=dict)
    """Those of the first request, but the last one's `max_global_steps`."""
    num_preempted: int | None = None
    """Over all requests; -1 where the server does not count."""
    routed_experts: Any = None
    """Those of the last request, which cover all tokens up to it."""

    def note(self, output: Any) -> None:
        """Takes in verl's TokenOutput of one more request."""
        new = output.extra_fields
        if self.num_preempted is None:
            self.extra_fields = dict(new)
            self.num_preempted = -1 if output.num_preempted is None else output.num_preempted
        else:
            if new.get("max_global_steps") is not None:
                self.extra_fields["max_global_steps"] = new["max_global_steps"]
            for key in self.extra_fields.keys() & new.keys():
                if key.startswith(_SUMMED):
                    self.extra_fields[key] = int(self.extra_fields[key]) + int(new[key])
            self.num_preempted += output.num_preempted or 0
        if output.routed_experts is not None:
            self.routed_experts = output.routed_experts
