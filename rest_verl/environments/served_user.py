"""A user played by a model behind an address that speaks OpenAI's chat completions.

Any server of that kind will do: vLLM's, SGLang's, a provider's. What it answers is data. A key,
where the server wants one, is in the environment variable `REST_VERL_USER_API_KEY`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from rest_verl.environments.users import Text

API_KEY = "REST_VERL_USER_API_KEY"
END = "###STOP###"
"""What the model writes to end the conversation; τ-bench's word for it."""

_ROLE = f"""\
You are talking with an assistant, as the person described above. Say one thing at a time, give \
away only what you are asked for, and write nothing but your next message. When you have what you \
came for, or see that you will not get it, write {END} instead.\
"""
_GREETING = "Hello, how can I help you?"
"""Begins the talk: many chat templates want the other side to speak first."""
_SILENCE = "(says nothing)"
"""Stands for a message without words, which some servers refuse."""
_RETRIED = {408, 429, 500, 502, 503, 504}
"""Status codes that another try may mend."""
_CHECK_TIMEOUT = 10.0
"""Seconds that a list of models may take."""
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 8.0
"""Seconds between tries: each wait is twice the one before."""


class UserUnavailable(ValueError):
    """The server cannot be reached or does not do what it was asked; names its address."""


@dataclass(frozen=True, kw_only=True)
class ServedUser:
    """One person, as a model plays them. Raises `ValueError` for a value out of range."""

    instructions: str
    """Who the user is, what they want and what they know; the model is told how to end."""
    base_url: str
    """Up to what comes before `/chat/completions`, such as `http://localhost:8000/v1`."""
    model: str
    """Its name there."""
    temperature: float = 0.0
    seed: int | None = None
    """Sent with every request; the same texts then get the same reply where the server keeps to
    it."""
    timeout: float = 120.0
    """Seconds that one try may take."""
    retries: int = 4
    """Further tries where the server is busy or cannot be reached."""

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("http://", "https://")):
            raise ValueError(
                f"base_url of a served user must begin with http:// or https://, got "
                f"{self.base_url!r}"
            )
        if not 0 < self.timeout < float("inf"):
            raise ValueError(f"timeout must be finite and above 0, got {self.timeout!r}")
        if type(self.retries) is not int or self.retries < 0:
            raise ValueError(f"retries must be a whole number, 0 or above, got {self.retries!r}")
        if not 0 <= self.temperature < float("inf"):
            raise ValueError(f"temperature must be 0 or above, got {self.temperature!r}")

    async def reply(self, texts: Sequence[Text]) -> str | None:
        """As `User.reply`.

        Raises:
            UserUnavailable: no usable answer after all tries.
        """
        request: dict[str, Any] = {"model": self.model, "messages": self._messages(texts)}
        request["temperature"] = self.temperature
        if self.seed is not None:
            request["seed"] = self.seed
        said = _content(await self._post("/chat/completions", request))
        if said is None:
            raise self._unavailable("its answer is no chat completion")
        return None if END in said else said

    def check(self) -> None:
        """Asks the server which models it has.

        Raises:
            UserUnavailable: it cannot be reached, refuses the key, or has others only.
        """
        import httpx

        try:
            answer = httpx.get(
                self._url("/models"),
                headers=_headers(),
                timeout=min(self.timeout, _CHECK_TIMEOUT),
                verify=_certificates(),
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unavailable(_reason(error)) from None
        if answer.status_code in (401, 403) or answer.status_code >= 500:
            raise self._unavailable(f"status {answer.status_code}: {_line(answer.text)}")
        names = _model_names(answer)
        if names and self.model not in names:
            raise self._unavailable(f"it has no such model, but {', '.join(names[:5])}")

    def _messages(self, texts: Sequence[Text]) -> list[dict[str, str]]:
        """The talk from the user's side: their own texts are what the model said so far."""
        roles = {"user": "assistant", "model": "user"}
        return [
            {"role": "system", "content": f"{self.instructions}\n\n{_ROLE}"},
            {"role": "user", "content": _GREETING},
            *({"role": roles[t.speaker], "content": t.text or _SILENCE} for t in texts),
        ]

    async def _post(self, path: str, request: dict[str, Any]) -> Any:
        """The answer to a request, after as many tries as it may have."""
        import httpx

        # A client of its own: nothing is shared between rollouts or left open after them.
        async with httpx.AsyncClient(timeout=self.timeout, verify=_certificates()) as client:
            for tries_left in range(self.retries, -1, -1):
                try:
                    answer = await client.post(self._url(path), json=request, headers=_headers())
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    reason = _reason(error)
                else:
                    if answer.is_success:
                        return answer
                    reason = f"status {answer.status_code}: {_line(answer.text)}"
                    if answer.status_code not in _RETRIED:
                        break
                if tries_left:
                    wait = _FIRST_WAIT * 2 ** (self.retries - tries_left)
                    await asyncio.sleep(min(wait, _LONGEST_WAIT))
        raise self._unavailable(reason)

    def _url(self, path: str) -> str:
        return self.base_url.rstrip("/") + path

    def _unavailable(self, reason: str) -> UserUnavailable:
        return UserUnavailable(
            f"the user's model {self.model} at {self.base_url} does not answer: {reason}; start "
            f"its server, or correct base_url and model ({API_KEY} is for a key, if it wants one)"
        )


@cache
def _certificates() -> Any:
    """Reading them takes longer than a request to a machine nearby."""
    import httpx

    return httpx.create_ssl_context()


def _headers() -> dict[str, str]:
    key = os.environ.get(API_KEY)
    return {"Authorization": f"Bearer {key}"} if key else {}


def _content(answer: Any) -> str | None:
    """The message of a chat completion, "" for one without words; None: it is no such thing."""
    match _body(answer):
        case {"choices": [{"message": {"content": str() | None as said}}, *_]}:
            return said or ""
    return None


def _model_names(answer: Any) -> list[str]:
    """Of a server's list of models; empty where it gives none."""
    match _body(answer):
        case {"data": [*models]}:
            names = [model.get("id") for model in models if isinstance(model, dict)]
            return [name for name in names if isinstance(name, str)]
    return []


def _body(answer: Any) -> Any:
    """The JSON of a response; None where it holds none."""
    try:
        return answer.json()
    except (ValueError, RecursionError):
        return None


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {_line(str(error))}".removesuffix(": ")


def _line(text: str) -> str:
    return " ".join(text.split())[:200]
