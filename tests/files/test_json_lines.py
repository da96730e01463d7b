"""JSON lines as people have them: byte-order marks, ends of lines, encodings, damage."""

import codecs
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest_verl.files.json_lines import read_by_id, read_json_lines, read_lines, read_utf8

MARK = codecs.BOM_UTF8
OTHER_ENCODINGS = [
    pytest.param(mark, codec, encoding, id=codec)
    for mark, codec, encoding in (
        (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
        (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
        (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-32"),
        (codecs.BOM_UTF32_BE, "utf-32-be", "UTF-32"),
    )
]


def write(folder: Path, content: bytes) -> Path:
    path = folder / "some rows.jsonl"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "places"),
    [
        pytest.param(b'{"a": 1}\n{"a": 2}\n', [1, 2], id="plain"),
        pytest.param(b'{"a": 1}\n{"a": 2}', [1, 2], id="no end of the last line"),
        pytest.param(b'{"a": 1}\r\n{"a": 2}\r\n', [1, 2], id="CRLF"),
        pytest.param(b'{"a": 1}\r\n\r\n \r\n{"a": 2}\r\n', [1, 4], id="CRLF, blank lines count"),
        pytest.param(MARK + b'{"a": 1}\n{"a": 2}\n', [1, 2], id="mark"),
        pytest.param(MARK + b'{"a": 1}\r\n{"a": 2}\r\n', [1, 2], id="mark and CRLF"),
        pytest.param(MARK + b'\n{"a": 1}\n{"a": 2}\n', [2, 3], id="mark on a line of its own"),
        pytest.param(
            (MARK + b'{"a": 1}\r\n') + (MARK + b'{"a": 2}\r\n'), [1, 2], id="two files joined"
        ),
    ],
)
def test_records_and_their_lines(tmp_path: Path, content: bytes, places: list[int]) -> None:
    path = write(tmp_path, content)
    expected = [(f"{path}:{place}", {"a": n}) for n, place in enumerate(places, start=1)]
    assert list(read_json_lines(path)) == expected


@given(
    texts=st.lists(st.text(alphabet="a\u2028\u2029\u0085\x0b\x0c\x1c\ufeff é", max_size=8)),
    end=st.sampled_from(["\n", "\r\n"]),
    mark=st.sampled_from([b"", MARK]),
)
def test_only_a_newline_ends_a_line(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], end: str, mark: bytes
) -> None:
    lines = [json.dumps({"text": text}, ensure_ascii=False) + end for text in texts]
    path = write(tmp_path_factory.getbasetemp(), mark + "".join(lines).encode())
    assert [record["text"] for _, record in read_json_lines(path)] == texts


@given(st.lists(st.sampled_from([b"\n", b"\r", MARK, b"a", b"\xff"])).map(b"".join))
def test_lines_keep_their_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = write(tmp_path_factory.getbasetemp(), b"." + content)
    assert b"".join(read_lines(path)) == b"." + content.replace(b"\n" + MARK, b"\n")


@pytest.mark.parametrize(("mark", "codec", "encoding"), OTHER_ENCODINGS)
def test_another_encoding_is_named_with_the_mend(
    tmp_path: Path, mark: bytes, codec: str, encoding: str
) -> None:
    path = write(tmp_path, mark + '{"a": 1}\n'.encode(codec))
    mend = f"iconv -f {encoding} -t UTF-8 '{path}' > NEW_FILE"
    for read in (read_utf8, read_lines, lambda path: list(read_json_lines(path)), read_by_id):
        with pytest.raises(ValueError, match=rf"some rows\.jsonl: is {encoding}, ") as caught:
            read(path)
        assert str(caught.value).endswith(mend)


@pytest.mark.parametrize(
    ("line", "words"),
    [(b"{", "not a line of JSON"), (b"[1]", "not a JSON object"), (b"\xff", "not a line of JSON")],
)
def test_what_is_wrong_is_at_its_line(tmp_path: Path, line: bytes, words: str) -> None:
    path = write(tmp_path, MARK + b"{}\r\n\r\n" + line + b"\r\n")
    with pytest.raises(ValueError, match=f":3: {words}"):
        list(read_json_lines(path))


def test_ids_and_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path, MARK + b'{"id": "a"}\r\n{"id": "b"}\r\n')
    assert {row: where for row, (where, _) in read_by_id(path).items()} == {
        "a": f"{path}:1 (a)",
        "b": f"{path}:2 (b)",
    }


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"absent\.jsonl: no such file"):
        list(read_json_lines(tmp_path / "absent.jsonl"))
    with pytest.raises(FileNotFoundError):
        read_lines(tmp_path / "absent.jsonl")
