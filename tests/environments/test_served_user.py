"""A user played by a served model, against a real HTTP server: requests, answers, failures."""

import asyncio
import socket
from typing import Any

import pytest

pytest.importorskip("httpx", reason="what a served user asks its server with")
from chat_server import completion, serving

from rest_verl.environments import served_user
from rest_verl.environments.served_user import API_KEY, END, ServedUser, UserUnavailable
from rest_verl.environments.users import Talk, Text

TEXTS = [
    Text("user", "Lamps?"),
    Text("model", "How many?"),
    Text("user", "Two."),
    Text("model", ""),
]


@pytest.fixture(autouse=True)
def no_wait_and_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served_user, "_FIRST_WAIT", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv(API_KEY, raising=False)


def user(base_url: str, **settings: Any) -> ServedUser:
    settings = {"instructions": "You want two lamps.", "model": "customer", **settings}
    return ServedUser(base_url=base_url, **settings)


def reply(served: ServedUser) -> str | None:
    answer: str | None = asyncio.run(served.reply(TEXTS))
    return answer


def test_the_model_plays_the_users_part() -> None:
    with serving(completion("Two lamps.")) as server:
        assert reply(user(server.base_url + "/", temperature=0.5, seed=7)) == "Two lamps."
    (request,) = server.requests
    system, *talk = request.pop("messages")
    assert request == {"model": "customer", "temperature": 0.5, "seed": 7}
    assert system["role"] == "system"
    assert system["content"].startswith("You want two lamps.\n\n")
    assert END in system["content"]
    assert [(message["role"], message["content"]) for message in talk] == [
        ("user", "Hello, how can I help you?"),
        ("assistant", "Lamps?"),
        ("user", "How many?"),
        ("assistant", "Two."),
        ("user", "(says nothing)"),
    ]
    assert server.keys == [None]


def test_without_a_seed_none_is_sent_and_a_key_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(API_KEY, "secret")
    with serving(completion("Two.")) as server:
        reply(user(server.base_url))
    assert "seed" not in server.requests[0]
    assert server.keys == ["Bearer secret"]


@pytest.mark.parametrize(
    ("said", "message"),
    [(f"Bye. {END}", None), (None, None), ("", None), ("\ud800", "?")],
    ids=["ends", "no content", "no words", "half a character"],
)
def test_whatever_the_model_says_is_data(said: str | None, message: str | None) -> None:
    with serving(completion(said)) as server:
        talk = Talk(user(server.base_url))
        talk.texts += TEXTS
        assert asyncio.run(talk.next_message()) == message


@pytest.mark.parametrize(
    "failures",
    [[None], [(503, {"error": "busy"}), (429, b"")], [None, (500, b"<html>")]],
    ids=["closed", "busy", "both"],
)
def test_what_may_pass_is_tried_again(failures: list[Any]) -> None:
    with serving(*failures, completion("Two.")) as server:
        assert reply(user(server.base_url, retries=len(failures))) == "Two."
        assert len({str(request) for request in server.requests}) == 1
        server.answers = [*failures, completion("Two.")]
        with pytest.raises(UserUnavailable):
            reply(user(server.base_url, retries=len(failures) - 1))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((404, b"no\nmodel customer" + b"x" * 999), "status 404: no model customerx"),
        ((401, {"error": "key"}), "status 401: .*key"),
        ({}, "no chat completion"),
        ({"choices": []}, "no chat completion"),
        (completion([]), "no chat completion"),  # type: ignore[arg-type]
        (b"<html>", "no chat completion"),
        (b"[" * 100_000, "no chat completion"),
        (b"\xff", "no chat completion"),
    ],
    ids=["404", "401", "empty", "no choices", "no text", "html", "deep", "no utf-8"],
)
def test_other_answers_are_an_error_at_once(answer: Any, reason: str) -> None:
    with serving(answer) as server, pytest.raises(UserUnavailable, match=reason) as error:
        reply(user(server.base_url))
    assert len(server.requests) == 1
    assert f"the user's model customer at {server.base_url} does not answer: " in str(error.value)
    assert len(str(error.value)) < 600


def test_a_server_that_is_not_there() -> None:
    with serving() as server:
        gone = user(server.base_url, retries=1, timeout=5)
    for ask in (gone.check, lambda: reply(gone)):
        with pytest.raises(
            UserUnavailable, match=r"ConnectError: .*; start its server, or correct"
        ):
            ask()


def test_a_server_that_takes_too_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, and never answers
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        with pytest.raises(UserUnavailable, match="ReadTimeout"):
            reply(user(address, timeout=0.05, retries=1))


@pytest.mark.parametrize(
    ("models", "reason"),
    [
        ((200, {"data": [{"id": "customer"}]}), None),
        ((404, b"no such page"), None),  # not every server has the list
        ((200, b"welcome"), None),
        ((200, {"data": [{"id": "a"}, {"id": "b"}, 3]}), "no such model, but a, b"),
        ((401, b"key"), "status 401: key"),
        ((502, b"gateway"), "status 502: gateway"),
    ],
    ids=["there", "no list", "no json", "others", "key", "broken"],
)
def test_the_check_before_a_run(models: Any, reason: str | None) -> None:
    with serving() as server:
        server.models = models
        if reason is None:
            user(server.base_url).check()
        else:
            with pytest.raises(UserUnavailable, match=reason):
                user(server.base_url).check()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base_url": "localhost:8000"}, "base_url of a served user must begin with http"),
        ({"timeout": 0}, "timeout must be finite and above 0, got 0"),
        ({"retries": -1}, "retries must be a whole number, 0 or above, got -1"),
        ({"retries": 1.5}, "retries must be"),
        ({"temperature": -1}, "temperature must be 0 or above, got -1"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        user(**{"base_url": "http://localhost:1/v1", **settings})
