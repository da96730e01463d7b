"""Runs one tool call so that nothing it does ends or holds up the worker.

A plain function runs in a daemon thread of its own: whatever hangs holds that thread alone, and no
pool runs dry. A coroutine function runs as a task, and so does what a plain one returns to be
awaited. Python cannot stop a thread, so a call that is over its time goes on unheard; its
environment should bear that.
"""

import asyncio
import inspect
import json
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from rest_verl.environments.observations import Observation, encodable, raised, timed_out


async def run_call(
    call: Callable[[str, dict[str, Any]], Any], name: str, arguments: dict[str, Any], limit: float
) -> Observation:
    """`call(name, arguments)` as an observation, after at most `limit` seconds.

    A result that is no string is shown as JSON, or as `str` gives it. Everything the call raises
    becomes an error, SystemExit included; only a cancellation of the rollout itself gets through.
    """
    start = partial(call, name, arguments)
    began = time.monotonic()
    try:
        if inspect.iscoroutinefunction(call):
            return await _in_task(start, limit)
        outcome = await _in_thread(start, limit)
        if isinstance(outcome, Observation):
            return outcome
        return await _in_task(lambda: outcome, limit - (time.monotonic() - began))
    except asyncio.TimeoutError:  # ours: the tool's own are observations
        return timed_out(name, limit)


async def _in_thread(start: Callable[[], Any], limit: float) -> Observation | Awaitable[Any]:
    """What the call came to, or what is still to be awaited."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Observation | Awaitable[Any]] = loop.create_future()

    def settle(outcome: Observation | Awaitable[Any]) -> None:
        if not answer.done():
            answer.set_result(outcome)

    def work() -> None:
        try:
            result = start()
            outcome = result if inspect.isawaitable(result) else Observation(_as_text(result))
        except BaseException as error:  # no signal arrives in this thread: all of it is the tool's
            outcome = raised(error)
        with suppress(RuntimeError):  # the event loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, outcome)

    threading.Thread(target=work, daemon=True, name="tool call").start()
    return await asyncio.wait_for(answer, limit)


async def _in_task(start: Callable[[], Awaitable[Any]], limit: float) -> Observation:
    async def work() -> Observation:
        try:
            return Observation(_as_text(await start()))
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
            raise asyncio.TimeoutError
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
