"""Runs scripted conversations through the real agent loop: everything but the server is real."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterable
from typing import Any

from omegaconf import OmegaConf
from templates import Model
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, DictConfigWrap, ToolListWrap
from verl.workers.rollout.replica import TokenOutput

from rest_verl.environments.base import Verdict, register_environment
from rest_verl.integration.agent_loops.tool_env import ToolEnvironmentLoop

Answer = Callable[[list[int]], str | list[int]]

SYSTEM = "You have tools."


def tool(name: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"text": {"type": "string"}}}
    function = {"name": name, "description": f"does {name}", "parameters": parameters}
    return {"type": "function", "function": function}


@register_environment("notebook")
class Notebook:
    """Keeps notes; a turn is right if its note was written. Some of its tools misbehave."""

    def __init__(self, task: dict[str, Any]) -> None:
        self.users = task["users"]
        self.late = task.get("late", {})  # turn: name of a tool that appears then
        self.broken = task.get("broken", "")
        self.tools = [tool("write"), tool("read")]
        self.notes: list[str] = []
        self.ended: list[bool] = []

    def user_message(self, turn: int) -> str | None:
        self._break("user_message")
        if turn == len(self.users):
            return None
        self.notes = []
        if str(turn) in self.late:
            self.tools = [*self.tools, tool(self.late[str(turn)])]
        return self.users[turn]

    def call(self, name: str, arguments: dict[str, Any]) -> Any:
        text = arguments.get("text", "")
        match name:
            case "write":
                self.notes.append(text)
                return f"wrote {text}"
            case "read":
                return ", ".join(self.notes) or "nothing"
            case "repeat":
                return text * arguments["times"]
            case "object":
                return {"notes": self.notes, "ü": None}
            case "raise":
                raise ValueError(f"no\nsuch  page {text}")
            case "exit":
                raise SystemExit(3)
            case "interrupt":
                raise KeyboardInterrupt
            case "stop":
                raise StopIteration
            case "hang":
                threading.Event().wait(60)
        return f"Error: no tool {name!r}"

    def end_turn(self) -> None:
        self._break("end_turn")
        self.ended.append(bool(self.notes))

    def outcome(self) -> list[Verdict]:
        self._break("outcome")
        reached = [Verdict(right) for right in self.ended]
        missing = len(self.users) - len(reached)
        return [*reached, *[Verdict(False, right_calls=0.5)] * missing]

    def score(self) -> float:
        return float(all(verdict.right for verdict in self.outcome()))

    def _break(self, place: str) -> None:
        if self.broken == place:
            raise LookupError(f"broken {place}")


class Server:
    """Plays messages as token ids, ended by the model's end token, with made-up log-probabilities.

    Args:
        model: whose ids.
        answer: the text of the next message, given the ids before it; or the ids themselves.
        with_log_probs: whether log-probabilities are given.
        bytewise: spell every message byte by byte, as the tokenizer itself would not.
    """

    def __init__(
        self,
        model: Model,
        answer: Answer,
        *,
        with_log_probs: bool = True,
        bytewise: bool = False,
    ) -> None:
        self.model = model
        self.answer = answer
        self.with_log_probs = with_log_probs
        self.bytewise = bytewise
        self.requests: list[dict[str, Any]] = []
        self.sampled: list[list[int]] = []
        self.log_probs: list[float] = []

    async def generate(self, request_id: str, **request: Any) -> TokenOutput:
        self.requests.append({"request_id": request_id, **request})
        await asyncio.sleep(0)
        answer = self.answer(request["prompt_ids"])
        ids = answer if isinstance(answer, list) else self.encode(answer)
        ids = ids[: request["sampling_params"]["max_tokens"]]
        log_probs = [-(len(self.log_probs) + i + 1) / 1000 for i in range(len(ids))]
        self.sampled.append(ids)
        self.log_probs += log_probs
        step = len(self.requests)
        return TokenOutput(
            token_ids=ids,
            log_probs=log_probs if self.with_log_probs else None,
            num_preempted=1,
            extra_fields={"min_global_steps": step, "max_global_steps": step, "global_steps": step},
        )

    def encode(self, text: str) -> list[int]:
        encode = self.model.tokenizer.encode
        pieces = text if self.bytewise else [text]
        ids = [id_ for piece in pieces for id_ in encode(piece, add_special_tokens=False)]
        return [*ids, *encode(self.model.end, add_special_tokens=False)]


def script(messages: Iterable[str | list[int]]) -> Answer:
    """Plays the messages in order, whatever comes before them."""
    remaining = iter(messages)
    return lambda prompt_ids: next(remaining)


def make_config(*, options: dict[str, Any] | None, template: dict[str, Any], **rollout: Any) -> Any:
    if options is not None:
        rollout["custom"] = {"rest_tool_env": options}
    data = {"apply_chat_template_kwargs": template}
    return OmegaConf.create({"actor_rollout_ref": {"rollout": rollout}, "data": data})


def make_row(users: list[str], **changes: Any) -> dict[str, Any]:
    """The columns of a `notebook` row; `changes` go into its task, or into extra_info."""
    info = {"index": 7, "id": "page-7", "environment": "notebook", "prompt_style": "compact"}
    info |= {key: changes.pop(key) for key in ("tools", "prompt_style", "id") if key in changes}
    info["task"] = json.dumps({"users": users, **changes})
    prompt = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": users[0]}]
    return {"raw_prompt": prompt, "extra_info": info, "global_steps": 5}


def make_loop(
    model: Model,
    server: Any,
    options: dict[str, Any] | None = None,
    *,
    prompt_length: int = 4096,
    response_length: int = 8192,
    max_model_len: int | None = None,
    template: dict[str, Any] | None = None,
) -> ToolEnvironmentLoop:
    """The real loop; call it where an event loop runs."""
    config = make_config(
        options=options,
        prompt_length=prompt_length,
        response_length=response_length,
        max_model_len=max_model_len,
        template=template or {},
    )
    return ToolEnvironmentLoop(
        trainer_config=DictConfigWrap(config),
        server_manager=server,
        tokenizer=model.tokenizer,
        processor=None,
        dataset_cls=None,
        data_config=DictConfigWrap(config.data),
        hf_model_type=model.model_type,
        tools=ToolListWrap([]),
    )


def run(
    model: Model,
    answer: Answer | list[str],
    row: dict[str, Any],
    options: dict[str, Any] | None = None,
    *,
    sampling_params: dict[str, Any] | None = None,
    **settings: Any,
) -> tuple[AgentLoopOutput, Server]:
    """One rollout of the row with the scripted policy."""
    kinds = {key: settings.pop(key) for key in ("with_log_probs", "bytewise") if key in settings}
    server = Server(model, script(answer) if isinstance(answer, list) else answer, **kinds)

    async def rollout() -> AgentLoopOutput:
        loop = make_loop(model, server, options, **settings)
        return await loop.run({"logprobs": True, **(sampling_params or {})}, **row)

    return asyncio.run(rollout()), server


def call(name: str, key: str = "arguments", /, **arguments: Any) -> str:
    """A message's block with one call."""
    return f"<tool_call>\n{json.dumps({'name': name, key: arguments})}\n</tool_call>"


def context_text(model: Model, output: AgentLoopOutput) -> str:
    """The observations and user turns of the response, as text."""
    ids = [i for i, m in zip(output.response_ids, output.response_mask, strict=True) if not m]
    return model.tokenizer.decode(ids)


def info(output: AgentLoopOutput) -> dict[str, float]:
    return output.extra_fields["reward_extra_info"]
