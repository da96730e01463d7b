"""A real HTTP server, in this process, that answers as chat completions do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODELS: dict[str, Any] = {"data": [{"id": "customer"}, {"id": "other"}]}


def completion(said: str | None) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": said}}]}


@dataclass
class ChatServer:
    """What it answers, in order, each once, and what it was asked."""

    answers: list[Any] = field(default_factory=list)
    """A body, a (status, body), or None for a connection that is closed without an answer; a body
    is JSON, or bytes as they are."""
    models: Any = field(default_factory=lambda: (200, MODELS))
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    base_url: str = ""


@contextmanager
def serving(*answers: Any) -> Iterator[ChatServer]:
    """The server, on a port of its own."""
    chat = ChatServer(list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(chat.models if self.path == "/v1/models" else (404, {}))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            chat.requests.append(json.loads(body))
            chat.keys.append(self.headers["Authorization"])
            self._send(chat.answers.pop(0) if self.path == "/v1/chat/completions" else (404, {}))

        def _send(self, answer: Any) -> None:
            if answer is None:
                return
            status, body = answer if isinstance(answer, tuple) else (200, answer)
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    chat.base_url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield chat
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
