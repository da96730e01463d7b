"""The agent loop `rest_tool_env`: a conversation of model, tools and user, scored by the tools.

The model answers a user message in steps. A step is one assistant message; the calls in it run in
order and their observations are appended. A message without calls ends the turn, and the
environment says what the user says next. At a limit the rollout ends where it is, and is scored.

Token in, token out: see `conversation`; what chat templates leave open: see `template`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

from verl.experimental.agent_loop.agent_loop import (
    AgentLoopBase,
    AgentLoopMetrics,
    AgentLoopOutput,
    register,
)
from verl.experimental.agent_loop.tool_parser import ToolParser
from verl.tools.schemas import OpenAIFunctionToolSchema
from verl.utils.profiler import simple_timer
from verl.utils.rollout_trace import rollout_trace_op

from rest_verl.environments.base import dense_score, talk_of
from rest_verl.environments.conversation import Conversation
from rest_verl.environments.execution import run_call
from rest_verl.environments.observations import (
    Observation,
    bad_arguments,
    encodable,
    malformed_call,
    shorten,
)
from rest_verl.environments.template import examine_template
from rest_verl.integration.agent_loops.options import tool_environment_options
from rest_verl.integration.agent_loops.readers import (
    Asked,
    Call,
    CallReader,
    SyntaxReader,
    VerlReader,
)
from rest_verl.integration.agent_loops.rollout import Rollout
from rest_verl.integration.agent_loops.rows import Row
from rest_verl.integration.agent_loops.turns import TOOL_CALLS, turn_fields, turn_scores
from rest_verl.integration.message_reader import MessageReader
from rest_verl.integration.run_syntax import row_readers
from rest_verl.prompts.tools import describe_tools
from rest_verl.syntax.reading import words_of
from rest_verl.syntax.repeats import call_key

_Answers = list[tuple[Call, Observation]]


@register("rest_tool_env")
class ToolEnvironmentLoop(AgentLoopBase):
    """Runs rows that name an environment; options: `ToolEnvironmentOptions`."""

    tokenizer: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.options = tool_environment_options(self.config)
        self.template = examine_template(self.continuous_token_builder)
        self.rows = row_readers(self.config, self.tokenizer)

    def _reader(self, messages: MessageReader) -> CallReader:
        if self.options.parser == "rest":
            return SyntaxReader(messages)
        parser = ToolParser.get_tool_parser(self.options.parser, self.tokenizer)
        return VerlReader(parser, OpenAIFunctionToolSchema.model_validate, messages)

    @rollout_trace_op
    async def run(
        self, sampling_params: dict[str, Any], priority: int = 0, **row: Any
    ) -> AgentLoopOutput:
        """One rollout.

        Args:
            sampling_params: verl's; `max_tokens` counts for each message.
            row: the data set's columns; `raw_prompt` holds the first user message.

        Raises:
            ValueError: the row names no environment or no task that can be read.
            EnvironmentFailed: the environment's own code failed, other than in `call`.
        """
        rollout = await self._begin(sampling_params, int(priority), row)
        conversation = rollout.conversation
        if conversation.prompt_length > self.rollout_config.prompt_length or conversation.room < 1:
            # verl would cut off the start of the prompt, and with it the tools.
            rollout.tally.limit = "prompt_too_long"
            step = int(row.get("global_steps", 1)) - 1  # verl's number for the weights in use
            rollout.server.extra_fields = {"min_global_steps": step, "max_global_steps": step}
            return self._output(rollout, rollout.tally.reward_info())
        while await self._run_turn(rollout) and await self._next_turn(rollout):
            pass
        return self._output(rollout, self._score(rollout))

    async def _begin(
        self, sampling_params: dict[str, Any], priority: int, columns: dict[str, Any]
    ) -> Rollout:
        row = Row.from_extra_info(columns.get("extra_info"))
        environment = row.make_environment(self.options.task)
        with row.in_environment("user_message(0)"):
            message = environment.user_message(0)
            if message is None:
                raise ValueError("the task has no first user message")
            offered = {tool["function"]["name"] for tool in environment.tools}
        if talk := talk_of(environment):
            talk.add("user", message)
        conversation = await asyncio.to_thread(
            Conversation,
            self.continuous_token_builder,
            self.template,
            list(columns["raw_prompt"]),
            tools=row.tools,
            response_length=self.rollout_config.response_length,
            max_length=self.rollout_config.get("max_model_len"),
        )
        ground_truth = (columns.get("reward_model") or {}).get("ground_truth")
        messages = self.rows.of_row(columns.get("extra_info"), ground_truth)
        reader = self._reader(messages)
        if stops := sorted({*messages.stop_ids, *reader.stop_ids}):
            stops = sorted({*(sampling_params.get("stop_token_ids") or []), *stops})
            sampling_params = {**sampling_params, "stop_token_ids": stops}
        deterministic = self.rollout_config.get("full_determinism", False)
        request_id = f"det-{priority}" if deterministic else uuid4().hex
        request = {"request_id": request_id, "priority": priority}
        ends = {*messages.vocabulary.end_ids, *reader.stop_ids}
        if self.template.end_id is not None:
            ends.add(self.template.end_id)
        return Rollout(
            row=row,
            environment=environment,
            conversation=conversation,
            messages=messages,
            reader=reader,
            end_ids=ends,
            sampling_params=sampling_params,
            request=request,
            offered=offered,
        )

    async def _run_turn(self, rollout: Rollout) -> bool:
        """The model's steps after a user message; False if a limit ended the rollout."""
        rollout.tally.turns += 1
        rollout.turn_starts.append(len(rollout.conversation.response_mask))
        for step in range(1, self.options.max_steps_per_turn + 1):
            reading = await self._generate(rollout)
            if reading is None:
                rollout.tally.limit = "response_length"
                return False
            if not reading.calls and not reading.is_malformed:
                rollout.tally.turns_ended += 1
                return True
            answers = await self._run_calls(rollout, reading)
            if rollout.tally.invalid_run == self.options.max_invalid_calls:
                rollout.tally.limit = "invalid_calls"
                break
            if step == self.options.max_steps_per_turn:
                rollout.tally.limit = "steps"
            elif not await self._extend(rollout, partial(self._observations, rollout, answers)):
                return False
        self._end_turn(rollout)  # as in BFCL, what was done in it is still judged
        return False

    def _end_turn(self, rollout: Rollout) -> None:
        with rollout.row.in_environment("end_turn()"):
            rollout.environment.end_turn()

    async def _next_turn(self, rollout: Rollout) -> bool:
        """Ends the turn and appends the next user message; False if there is none to answer."""
        talk = talk_of(rollout.environment)
        if talk:
            talk.add("model", rollout.said)
        self._end_turn(rollout)
        turn, is_last = rollout.tally.turns, rollout.tally.turns == self.options.max_turns
        if talk and is_last:  # whether such a user is done, only an answer would tell
            rollout.tally.limit = "turns"
            return False
        with rollout.row.in_environment(f"user_message({turn})"):
            message = await self.user_message(rollout)
            tools = rollout.environment.tools
        if message is None:
            return False
        if is_last:
            rollout.tally.limit = "turns"
            return False
        shown = self.new_tools(rollout, tools) + message
        rollout.offered.update(tool["function"]["name"] for tool in tools)
        if not await self._extend(rollout, lambda: [{"role": "user", "content": shown}]):
            return False
        if talk:
            talk.add("user", message)
        return True

    async def user_message(self, rollout: Rollout) -> str | None:
        """What the user says after a turn that has ended; None: nothing more."""
        talk = talk_of(rollout.environment)
        if talk is None:
            return rollout.environment.user_message(rollout.tally.turns)
        return await talk.next_message()

    def new_tools(self, rollout: Rollout, tools: list[dict[str, Any]]) -> str:
        """What stands before a user message where some of these have just appeared; else ""."""
        new = [tool for tool in tools if tool["function"]["name"] not in rollout.offered]
        return f"{describe_tools(new, rollout.row.style)}\n" if new else ""

    async def _generate(self, rollout: Rollout) -> Asked | None:
        """Samples an assistant message and reads its calls; None if it was cut off."""
        conversation = rollout.conversation
        room = conversation.room
        max_tokens = min(room, rollout.sampling_params.get("max_tokens", room))
        with simple_timer("generate_sequences", rollout.seconds):
            output = await self.server_manager.generate(
                prompt_ids=conversation.token_ids,
                sampling_params={**rollout.sampling_params, "max_tokens": max_tokens},
                **rollout.request,
            )
        prompt_ids = conversation.token_ids
        rollout.server.note(output)
        token_ids = list(output.token_ids)[:room]
        is_ended = bool(token_ids) and token_ids[-1] in rollout.end_ids
        rollout.tally.note_message(rollout.messages.read(token_ids, prompt_ids), is_ended)
        text = rollout.messages.text(token_ids)
        log_probs = output.log_probs or None
        conversation.add_sampled(token_ids, log_probs and log_probs[:room], text)
        if talk_of(rollout.environment):
            is_open = rollout.messages.think_is_open(prompt_ids)
            rollout.said = words_of(rollout.messages.syntax, text, think_is_open=is_open)
        is_aborted = output.stop_reason in ("aborted", "abort")
        if not is_ended and (is_aborted or not 0 < len(token_ids) < max_tokens):
            return None
        with rollout.row.in_environment("reading a message for the tools"):
            return await rollout.reader.read(
                token_ids, prompt_ids, lambda: rollout.environment.tools
            )

    async def _run_calls(self, rollout: Rollout, reading: Asked) -> _Answers:
        """Runs the calls of a message, one after the other."""
        tally = rollout.tally
        if reading.is_malformed:
            tally.note_malformed()
            return [(Call("malformed", None), malformed_call())]
        answers = []
        with simple_timer("tool_calls", rollout.seconds):
            for call in reading.calls:
                if call.arguments is None:
                    observation = bad_arguments(call.name)
                else:
                    run = rollout.environment.call
                    limit = self.options.call_timeout
                    observation = await run_call(run, call.name, call.arguments, limit)
                key = call_key(call.name, call.arguments)
                tally.note_call(call.name, key, observation.error)
                answers.append((call, observation))
                if tally.invalid_run == self.options.max_invalid_calls:
                    break
        return answers

    def _observations(self, rollout: Rollout, answers: _Answers) -> list[dict[str, Any]]:
        """The answers as messages, none too long."""
        contents = []
        for call, observation in answers:
            text, is_cut = shorten(
                encodable(observation.text), self.options.max_observation_tokens, self.tokenizer
            )
            rollout.tally.observations_cut += is_cut
            call_id = {} if call.id is None else {"tool_call_id": encodable(call.id)}
            contents.append({"content": text, "name": encodable(call.name), **call_id})
        return self.template.observations(contents)

    async def _extend(
        self, rollout: Rollout, make_messages: Callable[[], list[dict[str, Any]]]
    ) -> bool:
        """Appends messages; False, and the limit noted, if no answer to them would fit."""
        # In a thread: tokenising and rendering can take many milliseconds.
        add = rollout.conversation.add_context
        if not await asyncio.to_thread(lambda: add(make_messages())):
            rollout.tally.limit = "response_length"
            return False
        rollout.tally.contexts += 1
        return True

    def _score(self, rollout: Rollout) -> dict[str, float]:
        with rollout.row.in_environment("outcome()"):
            outcome = rollout.environment.outcome()
        with rollout.row.in_environment("score()"):
            official = float(rollout.environment.score())
        with rollout.row.in_environment("turn_rewards()"):
            rollout.turn_scores = turn_scores(
                rollout.environment, rollout.tally.turns, self.options.call_share
            )
        dense = dense_score(outcome, self.options.call_share)
        return rollout.tally.reward_info(
            score=dense if self.options.reward == "dense" else official,
            official=official,
            dense=dense,
            turns_right=sum(verdict.right for verdict in outcome),
            turns_of_task=len(outcome),
        )

    def _output(self, rollout: Rollout, reward_info: dict[str, float]) -> AgentLoopOutput:
        conversation, tally = rollout.conversation, rollout.tally
        response_ids, mask = conversation.response_ids, conversation.response_mask
        log_probs = conversation.log_probs
        if not response_ids:
            # verl puts the reward on the last token, so there has to be one; it is not trained on.
            response_ids, mask = [self.template.end_id or min(rollout.end_ids, default=0)], [0]
            log_probs = [0.0] if rollout.sampling_params.get("logprobs") else None
        facts = turn_fields(rollout.turn_scores, rollout.turn_starts, mask)
        facts[TOOL_CALLS] = tally.calls_of(rollout.offered) if tally.steps else {}
        preempted = -1 if rollout.server.num_preempted is None else rollout.server.num_preempted
        return AgentLoopOutput(
            prompt_ids=conversation.prompt_ids[-self.rollout_config.prompt_length :],
            response_ids=response_ids,
            response_mask=mask,
            response_logprobs=log_probs,
            routed_experts=rollout.server.routed_experts,
            multi_modal_data={},
            reward_score=reward_info["score"],
            num_turns=1 + tally.steps + tally.contexts,
            metrics=AgentLoopMetrics(num_preempted=preempted, **rollout.seconds),
            extra_fields={**rollout.server.extra_fields, **facts, "reward_extra_info": reward_info},
        )
