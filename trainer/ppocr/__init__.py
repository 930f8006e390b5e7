"""The only rooms that know paddle and PaddleOCR."""
