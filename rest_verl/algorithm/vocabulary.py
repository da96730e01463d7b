"""The bytes behind every token id, as one table read off a Hugging Face tokenizer.

Shape letters: V vocabulary, N tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

END_OF_TURN = (
    "<|im_end|>",  # Qwen, Hermes and other ChatML models
    "<|endoftext|>",  # GPT-2, Qwen base
    "<|eot_id|>",  # Llama 3
    "<|eom_id|>",  # Llama 3, before a tool's answer
    "<|end_of_text|>",  # Llama 3 base
    "<|eot|>",  # Llama 4
    "<|eom|>",
    "<end_of_turn>",  # Gemma
    "<|end|>",  # Phi
    "</s>",  # Llama 2, Mistral
    "<｜end▁of▁sentence｜>",  # DeepSeek
)
"""Names under which chat models end a turn; a tokenizer's own eos is added to them."""

_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def _byte_alphabet() -> dict[int, int]:
    """GPT-2's alphabet, reversed: code point of the stand-in character -> byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {256 + rank: byte for rank, byte in enumerate(others)} | {b: b for b in printable}


_ALPHABET = _byte_alphabet()


def _byte_level(token: str) -> bytes:
    """Bytes of a token of a byte-level vocabulary; what is not in its alphabet is literal."""
    if all(ord(character) in _ALPHABET for character in token):
        return token.translate(_ALPHABET).encode("latin-1")
    return _literal(token)


def _sentencepiece(token: str) -> bytes:
    """Bytes of a SentencePiece piece: `▁` is a space, `<0xNN>` the byte NN."""
    if byte := _BYTE_PIECE.fullmatch(token):
        return bytes([int(byte[1], 16)])
    return _literal(token.replace("▁", " "))


def _literal(token: str) -> bytes:
    return token.encode("utf-8", "surrogatepass")


def _component_types(component: Any) -> Iterator[str]:
    """Type names in the JSON of a tokenizers decoder or pre-tokenizer, nested ones included."""
    if isinstance(component, dict):
        if isinstance(component.get("type"), str):
            yield component["type"]
        component = list(component.values())
    if isinstance(component, list):
        for part in component:
            yield from _component_types(part)


def _token_decoder(tokenizer: Any) -> Any:
    """The function that turns this tokenizer's vocabulary entries into bytes."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:  # a tokenizer written in Python
        if hasattr(tokenizer, "byte_decoder"):
            return _byte_level
        return _sentencepiece if hasattr(tokenizer, "sp_model") else _literal
    types: set[str] = set()
    for component in (backend.decoder, backend.pre_tokenizer):
        if component is not None:
            types.update(_component_types(json.loads(component.__getstate__())))
    if "ByteLevel" in types:
        return _byte_level
    return _sentencepiece if types & {"ByteFallback", "Metaspace", "Replace"} else _literal


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Bytes of every token id, for decoding any id sequence without loss.

    Two ids are added behind the V of the tokenizer: `outside_id`, without bytes, stands for every
    id outside the vocabulary (padded embedding rows, negative ids), and `filler_id`, with one
    byte that belongs to no tag, for tokens whose bytes do not matter.
    """

    tokens: tuple[bytes, ...]
    """Bytes of the ids 0…V-1."""
    end_ids: frozenset[int]
    """Ids that end a turn."""
    pad_id: int | None
    """Id of the padding token, if it is not one that ends a turn."""
    length: np.ndarray = field(init=False, repr=False, compare=False)
    """Number of bytes of each id, int64 (V + 2,)."""
    _start: np.ndarray = field(init=False, repr=False, compare=False)
    _data: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        table = (*self.tokens, b"", b".")
        length = np.array([len(token) for token in table], dtype=np.int64)
        object.__setattr__(self, "length", length)
        object.__setattr__(self, "_start", np.cumsum(length) - length)
        object.__setattr__(self, "_data", np.frombuffer(b"".join(table), dtype=np.uint8))

    @property
    def outside_id(self) -> int:
        return len(self.tokens)

    @property
    def filler_id(self) -> int:
        return len(self.tokens) + 1

    @classmethod
    def from_tokenizer(cls, tokenizer: Any) -> Vocabulary:
        """Reads the table off any Hugging Face tokenizer: byte-level BPE or SentencePiece.

        Added and special tokens stand for their literal text. A vocabulary of neither kind is
        taken literally.
        """
        to_bytes = _token_decoder(tokenizer)
        vocabulary = tokenizer.get_vocab()
        added = {
            id_: str(token) for id_, token in getattr(tokenizer, "added_tokens_decoder", {}).items()
        }
        tokens = [b""] * (max([*vocabulary.values(), *added], default=-1) + 1)
        for token, id_ in vocabulary.items():
            tokens[id_] = token if isinstance(token, bytes) else to_bytes(token)
        for id_, token in added.items():
            tokens[id_] = _literal(token)
        eos = tokenizer.eos_token_id
        end_ids = set(eos if isinstance(eos, list | tuple) else [eos])
        # Only as added tokens: `</s>` may also be an ordinary token of HTML.
        end_ids.update(id_ for id_, token in added.items() if token in END_OF_TURN)
        pad_id = getattr(tokenizer, "pad_token_id", None)
        return cls(
            tokens=tuple(tokens),
            end_ids=frozenset(end_ids & set(range(len(tokens)))),
            pad_id=pad_id if pad_id in range(len(tokens)) and pad_id not in end_ids else None,
        )

    def clip(self, ids: np.ndarray) -> np.ndarray:
        """Ids of any integer type as int64, those outside the vocabulary as `outside_id`."""
        ids = np.ascontiguousarray(ids, dtype=np.int64)
        if not ids.size or (ids.min() >= 0 and ids.max() < self.outside_id):
            return ids
        # Seen as unsigned, a negative id is a large one.
        return np.minimum(ids.view(np.uint64), np.uint64(self.outside_id)).view(np.int64)

    def decode(self, ids_N: np.ndarray) -> tuple[bytes, np.ndarray]:
        """Concatenated bytes of clipped ids, and the byte offset of each token, (N + 1,)."""
        length_N = self.length[ids_N]
        offset = np.zeros(len(ids_N) + 1, dtype=np.int64)
        np.cumsum(length_N, out=offset[1:])
        index = np.repeat(self._start[ids_N] - offset[:-1], length_N)
        index += np.arange(len(index))
        return self._data[index].tobytes(), offset
