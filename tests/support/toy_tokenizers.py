"""Small tokenizers of every kind that the labeler reads, made without network or files."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

SAMPLE = (
    '<think> I should call the tool.\nIts name is "get_weather". </think>\n<tool_call>\n'
    '{"name": "get_weather", "arguments": {"city": "Zürich", "days": [1, 2]}}\n'
    '{"name": "f", "parameters": {}}\n</tool_call><response> Höher < tiefer </response>'
)


class BytesTokenizer:
    """Every token is given by its bytes: ids are positions in the list."""

    eos_token_id = None

    def __init__(self, tokens: Iterable[bytes]) -> None:
        self._vocabulary = {token: id_ for id_, token in enumerate(tokens)}

    def get_vocab(self) -> dict[bytes, int]:
        return self._vocabulary


def one_byte_per_token() -> BytesTokenizer:
    """Id n is the byte n: ids are the text."""
    return BytesTokenizer(bytes([byte]) for byte in range(256))


def byte_level(added: tuple[str, ...] = (), vocab_size: int = 400) -> PreTrainedTokenizerFast:
    """Byte-level BPE as in GPT-2, Qwen and Llama 3; `added` tags become single tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>", "<|im_end|>", "<pad>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator([SAMPLE] * 3, trainer)
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in added])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<pad>"
    )


def sentencepiece() -> PreTrainedTokenizerFast:
    """SentencePiece BPE with byte fallback, as Llama 2's fast tokenizer has it."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += sorted({"▁" if character == " " else character for character in SAMPLE} - {"ü", "\n"})
    pieces += ["in", "th", "▁th", "▁I"]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={piece: id_ for id_, piece in enumerate(pieces)},
            merges=[("i", "n"), ("t", "h"), ("▁", "th"), ("▁", "I")],
            byte_fallback=True,
            unk_token="<unk>",
            fuse_unk=True,
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
