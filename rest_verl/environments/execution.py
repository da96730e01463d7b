"""Runs one tool call so that nothing it does ends or holds up the worker.

A plain function runs in a daemon thread of its own: whatever hangs holds that thread alone, and no
pool runs dry. A coroutine function runs as a task. Python cannot stop a thread, so a call that is
over its time goes on unheard; its environment should bear that.
"""

import asyncio
import inspect
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rest_verl.environments.observations import Observation, encodable, raised, timed_out


async def run_call(
    call: Callable[[str, dict[str, Any]], Any], name: str, arguments: dict[str, Any], limit: float
) -> Observation:
    """`call(name, arguments)` as an observation, after at most `limit` seconds.

    A result that is no string is shown as JSON, or as `str` gives it. Everything the call raises
    becomes an error, SystemExit included; only a cancellation of the rollout itself gets through.
    """
    if inspect.iscoroutinefunction(call):
        return await _in_task(call, name, arguments, limit)
    return await _in_thread(call, name, arguments, limit)


async def _in_thread(
    call: Callable[..., Any], name: str, arguments: dict[str, Any], limit: float
) -> Observation:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Observation] = loop.create_future()

    def settle(observation: Observation) -> None:
        if not answer.done():
            answer.set_result(observation)

    def work() -> None:
        try:
            observation = Observation(_as_text(call(name, arguments)))
        except BaseException as error:  # no signal arrives in this thread: all of it is the tool's
            observation = raised(error)
        with suppress(RuntimeError):  # the event loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, observation)

    threading.Thread(target=work, daemon=True, name="tool call").start()
    try:
        return await asyncio.wait_for(answer, limit)
    except asyncio.TimeoutError:
        return timed_out(name, limit)


async def _in_task(
    call: Callable[..., Any], name: str, arguments: dict[str, Any], limit: float
) -> Observation:
    async def work() -> Observation:
        try:
            return Observation(_as_text(await call(name, arguments)))
        except (asyncio.CancelledError, KeyboardInterrupt):
            raise
        except BaseException as error:  # a SystemExit would end the event loop
            return raised(error)

    task = asyncio.ensure_future(work())
    try:
        # Not wait_for: it would wait for a task that ignores its cancellation, and could not tell
        # the tool's own TimeoutError from ours.
        await asyncio.wait({task}, timeout=limit)
        if not task.done():
            return timed_out(name, limit)
        return raised(asyncio.CancelledError()) if task.cancelled() else task.result()
    finally:
        task.cancel()


def _as_text(result: Any) -> str:
    if not isinstance(result, str):
        try:
            result = json.dumps(result, ensure_ascii=False)
        except (TypeError, ValueError, RecursionError):
            result = str(result)
    return encodable(result)
