"""Recorded conversations in the layouts that people have them in, as dialogues, or refused.

A layout is one module with a table entry in `rest_verl.data.chats.layouts`: it turns a record into
a `Chat`, in which nothing is checked yet but that it is of the layout. What all layouts share is
behind that: tools and arguments by their schemas, observations by the ids of their calls, thoughts.
"""

from rest_verl.data.chats.layouts import LAYOUTS
from rest_verl.data.chats.reader import read_chats, read_dialogues
from rest_verl.data.chats.sifting import Sifted, refusal_table, refused_lines, sift

__all__ = [
    "LAYOUTS",
    "Sifted",
    "read_chats",
    "read_dialogues",
    "refusal_table",
    "refused_lines",
    "sift",
]
