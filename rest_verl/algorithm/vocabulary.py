"""The bytes behind every token id, as one table read off a Hugging Face tokenizer.

Shape letters: V vocabulary, N tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

END_OF_TURN = (
    "<|im_end|>",  # Qwen, Hermes and other ChatML models
    "<|endoftext|>",  # GPT-2, Qwen base
    "<|eot_id|>",  # Llama 3
    "<|eom_id|>",  # Llama 3, before a tool's answer
    "<|end_of_text|>",  # Llama 3 base
    "<|eot|>",  # Llama 4
    "<|eom|>",
    "<end_of_turn>",  # Gemma 2 and 3
    "<turn|>",  # Gemma 4
    "<eos>",  # Gemma base
    "<|end|>",  # Phi
    "</s>",  # Llama 2, Mistral
    "<｜end▁of▁sentence｜>",  # DeepSeek
)
"""Special tokens with which chat models end a turn; a tokenizer's own eos is added to them."""

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


def _token_decoder(tokenizer: Any, vocabulary: Collection[Any]) -> Callable[[str], bytes]:
    """The function that turns this tokenizer's vocabulary entries into bytes."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:  # a tokenizer written in Python
        if hasattr(tokenizer, "byte_decoder"):
            return _byte_level
        return _sentencepiece if hasattr(tokenizer, "sp_model") else _literal
    # Comes first: transformers gives some byte-level vocabularies (a Llama model with DeepSeek's
    # tokenizer, for one) the components of a SentencePiece one.
    if "▁" not in vocabulary and all(chr(letter) in vocabulary for letter in _ALPHABET):
        return _byte_level
    types: set[str] = set()
    for component in (backend.decoder, backend.pre_tokenizer):
        if component is not None:
            types.update(_component_types(json.loads(component.__getstate__())))
    if "ByteLevel" in types:
        return _byte_level
    return _sentencepiece if types & {"ByteFallback", "Metaspace", "Replace"} else _literal


class _Entries(NamedTuple):
    """What a tokenizer knows of its ids."""

    tokens: dict[int, bytes]
    added: dict[int, str]
    """Tokens that no merging of others makes: tags, control tokens."""
    special: frozenset[int]
    """Those added that are no text."""


def _entries(tokenizer: Any) -> _Entries:
    instruct = getattr(getattr(tokenizer, "tokenizer", None), "instruct_tokenizer", None)
    if instruct is not None:
        return _mistral_common_entries(instruct.tokenizer, frozenset(tokenizer.all_special_ids))
    vocabulary = tokenizer.get_vocab()
    to_bytes = _token_decoder(tokenizer, vocabulary)
    tokens = {
        id_: token if isinstance(token, bytes) else to_bytes(token)
        for token, id_ in vocabulary.items()
    }
    decoder = getattr(tokenizer, "added_tokens_decoder", {})
    added = {id_: str(token) for id_, token in decoder.items()}
    special = frozenset(id_ for id_, token in decoder.items() if token.special)
    for id_, token in added.items():
        # Gemma has its runs of spaces among the added tokens.
        is_piece = to_bytes is _sentencepiece and id_ not in special
        tokens[id_] = _sentencepiece(token) if is_piece else _literal(token)
    return _Entries(tokens, added, special)


def _mistral_common_entries(tokenizer: Any, special: frozenset[int]) -> _Entries:
    """From a tokenizer of mistral-common, which transformers wraps without its bytes."""
    added = {id_: tokenizer.id_to_piece(id_) for id_ in special}
    tokens = {id_: _literal(token) for id_, token in added.items()}
    for id_ in range(tokenizer.n_words):
        if id_ not in special:
            if hasattr(tokenizer, "id_to_byte_piece"):  # tekken
                tokens[id_] = tokenizer.id_to_byte_piece(id_)
            else:
                tokens[id_] = _sentencepiece(tokenizer.id_to_piece(id_))
    return _Entries(tokens, added, special)


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
    def from_tokenizer(
        cls,
        tokenizer: Any,
        *,
        end_tokens: Iterable[str] = (),
        inner_tokens: Iterable[str] = (),
        end_ids: Iterable[int] = (),
    ) -> Vocabulary:
        """Reads the table off any tokenizer that transformers loads: byte-level BPE,
        SentencePiece, mistral-common.

        Added and special tokens stand for their literal text. A vocabulary of no known kind is
        taken literally. The space that SentencePiece puts before a text, and takes off again when
        it decodes one, is kept: what the ids of a response stand for depends on no place.

        Args:
            tokenizer: its eos ends a turn, and so does every special token in `END_OF_TURN`.
            end_tokens: added tokens that end a turn as well.
            inner_tokens: added tokens that end none, whatever `END_OF_TURN` and `end_tokens` say.
            end_ids: ids that end a turn in any case, from the model's generation config.
        """
        entries = _entries(tokenizer)
        tokens = [b""] * (max(entries.tokens, default=-1) + 1)
        for id_, token in entries.tokens.items():
            tokens[id_] = token
        eos = tokenizer.eos_token_id
        named, inner = set(end_tokens), set(inner_tokens)
        ends = {*(eos if isinstance(eos, list | tuple) else [eos]), *end_ids}
        for id_, name in entries.added.items():
            # Only where special: `</s>` is a tag of HTML in Gemma's vocabulary.
            is_end = name in named or (name in END_OF_TURN and id_ in entries.special)
            if is_end and name not in inner:
                ends.add(id_)
        pad_id = getattr(tokenizer, "pad_token_id", None)
        return cls(
            tokens=tuple(tokens),
            end_ids=frozenset(ends & set(range(len(tokens)))),
            pad_id=pad_id if pad_id in range(len(tokens)) and pad_id not in ends else None,
        )

    def response_text(self, ids: Sequence[int] | np.ndarray) -> str:
        """Text of one sampled message: the bytes that are labelled, read as UTF-8.

        Left out are the ids at its end that end a turn or pad, however many: padding is often one
        of those that end a turn. All others stand for what they are in the table, special tokens
        for their names; bytes that are no UTF-8 are replaced.
        """
        ids = self.clip(np.asarray(ids))
        closing = [*self.end_ids] if self.pad_id is None else [*self.end_ids, self.pad_id]
        kept = np.flatnonzero(~np.isin(ids, closing))
        length = kept[-1] + 1 if len(kept) else 0
        return self.decode(ids[:length])[0].decode("utf-8", "replace")

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
