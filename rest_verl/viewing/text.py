"""Makes model text safe to look at: each character without a shape of its own becomes visible."""

import re
import unicodedata

# Control (Cc) and format (Cf) characters can move the cursor, hide text or reverse its direction;
# surrogates (Cs) cannot be encoded. No character below U+0020 is anything but Cc.
_INVISIBLE = re.compile(r"[^\n\t -~]")


def visible_text(text: str) -> str:
    r"""`text` with invisible characters shown: `"\x1b[31m"` becomes `"␛[31m"`.

    Newlines and tabs stay. C0 controls become Unicode's control pictures, all other controls,
    format characters (such as the bidirectional overrides) and lone surrogates `⟨U+202E⟩`.
    The result encodes as UTF-8.
    """
    return _INVISIBLE.sub(_shown, text)


def _shown(match: re.Match[str]) -> str:
    character = match[0]
    if unicodedata.category(character) not in ("Cc", "Cf", "Cs"):
        return character
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"
