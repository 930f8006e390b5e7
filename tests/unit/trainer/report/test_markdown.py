"""The report as Markdown."""

from hypothesis import given
from hypothesis import strategies as st

from trainer.report import markdown


@given(st.text(max_size=40))
def test_any_text_stands_in_one_cell_of_a_table(text: str) -> None:
    cell = markdown.plain(text)
    assert not set(cell) & set("|`*<>\n\r[]")
