"""Chats in parquet: what a table does to arguments, and what then can still be known."""

import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chat_lines import STOCK, TOOL, USER, WEATHER, YES, Json, call, calling, chat, told, tool, turns

from rest_verl.data.chats import read_chats
from rest_verl.data.chats.files import RefusedRecord
from rest_verl.data.chats.reader import ReadChat

OF_STOCK = chat(
    {"role": "user", "content": "AAPL?"},
    calling(call({"symbol": "AAPL", "days": 2.5}, "c2", "get_stock")),
    {**TOOL, "tool_call_id": "c2", "content": "170"},
    tools=[tool("get_stock", "symbol", days={"type": "number"})],
)
NULLABLE = tool("get_weather", "city", unit={"type": ["string", "null"]})
OSLO = """\
tools: get_weather
user: Rain in Oslo?
assistant: get_weather({"city": "Oslo"})
tool: rain
assistant: Yes."""


def with_arguments(arguments: Any, *, tools: Any = (WEATHER,)) -> Json:
    return chat(USER, calling(call(arguments)), TOOL, YES, tools=tools)


def read(folder: Path, *records: Json) -> list[ReadChat | RefusedRecord]:
    """The records after a round trip through pandas and parquet."""
    path = folder / "chats.parquet"
    pd.DataFrame(list(records)).to_parquet(path)
    return list(read_chats(path))


def test_a_table_adds_nulls_and_makes_floats_and_these_are_undone(tmp_path: Path) -> None:
    record = with_arguments({"city": "Oslo", "days": 3})
    in_table = pa.Table.from_pandas(pd.DataFrame([record, OF_STOCK])).to_pylist()[0]
    arguments = in_table["messages"][1]["tool_calls"][0]["function"]["arguments"]
    assert arguments == {"city": "Oslo", "days": 3.0, "symbol": None}
    chat, of_stock = read(tmp_path, record, OF_STOCK)
    assert isinstance(chat, ReadChat)
    assert isinstance(of_stock, ReadChat)
    (made,) = chat.dialogue.messages[1].calls
    assert made.arguments == {"city": "Oslo", "days": 3}
    assert type(made.arguments["days"]) is int
    assert of_stock.dialogue.messages[1].calls[0].arguments == {"symbol": "AAPL", "days": 2.5}
    assert (chat.num_nulls, of_stock.num_nulls) == (1, 1)
    assert chat.dialogue.origin == f"{tmp_path / 'chats.parquet'}, row 1"


def test_a_null_that_may_have_been_recorded_is_refused(tmp_path: Path) -> None:
    there = with_arguments({"city": "Oslo", "unit": None}, tools=[NULLABLE])
    away = with_arguments({"city": "Oslo"}, tools=[NULLABLE])
    other = with_arguments({"city": "Oslo", "unit": "c"}, tools=[NULLABLE])
    *refused, good = read(tmp_path, there, away, other)
    assert isinstance(good, ReadChat)
    for each in refused:
        assert isinstance(each, RefusedRecord)
        assert each.refused.reason == "null that may be a table's"
        assert 'message 1: get_weather: "unit" is null' in str(each.refused)
        assert "write arguments as JSON text" in str(each.refused)


def test_in_json_text_it_is_what_was_recorded(tmp_path: Path) -> None:
    there = with_arguments('{"city": "Oslo", "unit": null}', tools=[NULLABLE])
    away = with_arguments('{"city": "Oslo"}', tools=[NULLABLE])
    said = [told(chat.dialogue) for chat in read(tmp_path, there, away)]  # type: ignore[union-attr]
    assert said == [OSLO.replace('"Oslo"', '"Oslo", "unit": null'), OSLO]


@pytest.mark.parametrize("layout", ["sharegpt", "xlam", "toolace", "hermes"])
def test_calls_in_texts_are_out_of_a_tables_reach(tmp_path: Path, layout: str) -> None:
    written = '{"name": "get_weather", "arguments": {"city": "Oslo", "unit": null}}'
    (chat,) = read(
        tmp_path,
        {
            "sharegpt": turns(("human", "Rain?"), ("function_call", written), tools=[NULLABLE]),
            "xlam": {"query": "Rain?", "answers": f"[{written}]", "tools": [NULLABLE]},
            "toolace": turns(
                ("user", "Rain?"),
                ("assistant", '[get_weather(city="Oslo", unit=None)]'),
                system="The tools are beside it.",
                tools=[NULLABLE],
            ),
            "hermes": turns(
                ("human", "Rain?"), ("gpt", f"<tool_call>{written}</tool_call>"), tools=[NULLABLE]
            ),
        }[layout],
    )
    assert isinstance(chat, ReadChat), chat.refused
    assert chat.layout == layout
    calls = [call for message in chat.dialogue.messages for call in message.calls]
    assert calls[0].arguments == {"city": "Oslo", "unit": None}


def test_rows_of_several_layouts_share_a_table(tmp_path: Path) -> None:
    records = [
        chat(),
        turns(("human", "Hi"), ("gpt", "Hello.")),
        {
            "query": "AAPL?",
            "tools": [STOCK],
            "answers": '[{"name": "get_stock", "arguments": {"symbol": "A"}}]',
        },
    ]
    chats = read(tmp_path, *records)
    assert [chat.layout for chat in chats if isinstance(chat, ReadChat)] == [
        "openai",
        "sharegpt",
        "xlam",
    ]


def test_tools_in_columns(tmp_path: Path) -> None:
    chats = read(tmp_path, with_arguments({"city": "Oslo"}), OF_STOCK)
    assert [chat.dialogue.tools for chat in chats if isinstance(chat, ReadChat)] == [
        [WEATHER],
        OF_STOCK["tools"],
    ]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (datetime.date(2026, 1, 1), "row 1: JSON in UTF-8 cannot hold it: Object of type date"),
        (float("inf"), "row 1: JSON in UTF-8 cannot hold it: Out of range float"),
    ],
    ids=["date", "infinity"],
)
def test_a_value_that_json_has_not(tmp_path: Path, value: Any, words: str) -> None:
    (refused,) = read(tmp_path, {**chat(), "extra": value})
    assert isinstance(refused, RefusedRecord)
    assert words in str(refused.refused)


def test_a_broken_table(tmp_path: Path) -> None:
    path = tmp_path / "chats.parquet"
    pq.write_table(pa.table({"a": list(range(9))}), path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"chats\.parquet: no parquet file that can be read"):
        list(read_chats(path))
