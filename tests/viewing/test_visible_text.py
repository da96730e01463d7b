"""Model text is shown as text: what a terminal or a page would act on becomes visible."""

from hypothesis import given
from hypothesis import strategies as st

from rest_verl.viewing.text import visible_text


def test_visible_text() -> None:
    assert visible_text("a\tb\n é ü 漢 😀 <b>") == "a\tb\n é ü 漢 😀 <b>"
    assert visible_text("\x1b[2J\x7f\x9b\r") == "␛[2J␡⟨U+009B⟩␍"
    assert visible_text("\u202eabc\u200b") == "⟨U+202E⟩abc⟨U+200B⟩"


@given(st.text(alphabet=st.characters()))
def test_visible_text_can_be_encoded(text: str) -> None:
    shown = visible_text(text)
    assert shown.encode("utf-8").decode() == shown
    assert visible_text(shown) == shown
