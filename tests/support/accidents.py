"""What can befall a text: parts lost, doubled, swapped, cut off, and strange ones put in."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

HOSTILE = (
    *'{}[]",:\\\n\0\x1b\u2028\u202e\ud800\udfff',
    *('\\"', "\\u", "\\ud800", "\r\n", "NaN", "-Infinity", "1e999", "-0", "1" * 400, "'", "``"),
    *('"\\UFFFFFFFF"', "[f(a='\\UFFFFFFFF')]", "0x1_f", "1e999j"),
    *('{"name": ', '"arguments": {', '"parameters": ', '"name": "f", "name": "g"', "null", "[[{{"),
    *("<|im_end|>", "<|endoftext|>", "<pad>", "</s>", "<s>", "<0x0A>", "▁", "<", "</", "<tool_"),
)


def damaged(rng: Random, text: str, other: str, tags: Sequence[str]) -> str:
    """`text` after one to five accidents, mostly one or two; `other` may follow its beginning."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 5))):
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + int(rng.expovariate(0.05)))
        accident = rng.randrange(9)
        if accident == 0:
            text = text[:start] + text[end:]
        elif accident == 1:
            text = text[:end] + text[start:]
        elif accident == 2:
            third = min(len(text), end + int(rng.expovariate(0.05)))
            text = text[:start] + text[end:third] + text[start:end] + text[third:]
        elif accident == 3 and rng.random() < 0.3:
            text = text[:start]
        elif accident == 4 and other and rng.random() < 0.3:
            text = text[:start] + other[rng.randrange(len(other)) :]
        elif accident == 5 and rng.random() < 0.1:
            text = text[:start] + rng.choice(("[", "{", '{"a":', *tags)) * rng.randrange(500)
        elif accident == 6:
            text = text[:start] + chr(rng.randrange(0x110000)) + text[start:]
        else:
            text = text[:start] + _hostile(rng, tags) + text[start:]
    return text


def _hostile(rng: Random, tags: Sequence[str]) -> str:
    if rng.random() < 0.8:
        return rng.choice(HOSTILE)
    tag = rng.choice(tags)
    return rng.choice((tag, tag[:-1]))


def random_text(rng: Random, long: bool, tags: Sequence[str]) -> str:
    """Strange pieces, or characters of any kind."""
    length = rng.randrange(20_000 if long else 60)
    if rng.random() < 0.5:
        return "".join(rng.choices((*HOSTILE, *tags, *(tag[:-1] for tag in tags)), k=length))
    return rng.randbytes(2 * length).decode("utf-16-le", errors="surrogatepass")
