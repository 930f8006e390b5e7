"""What the nodes of a gang say to each other: the text of it."""

import pytest

from trainer.contract import ExitCode
from trainer.rendezvous.messages import OF_LEADER, OF_MEMBER, Again, End, Failed, encode, plain

LOUD = "a\x1b]52;c;bHM=\x07b\nc\x9b2Jd\u202ee\ud800f"
QUIET = "a ]52;c;bHM= b c 2Jd e f"


def test_printable_text_of_any_language_stays() -> None:
    assert plain("Größe 大きさ 😀: 'x' = 1") == "Größe 大きさ 😀: 'x' = 1"


def test_control_characters_become_spaces() -> None:
    assert plain(LOUD) == QUIET


def test_a_reason_is_printable_when_it_is_sent() -> None:
    """A name of a file may have half a character, which is no JSON."""
    sent = encode(Failed(attempt=1, code=ExitCode.TRANSIENT, why=LOUD))
    assert OF_MEMBER.decode(sent) == Failed(attempt=1, code=ExitCode.TRANSIENT, why=QUIET)


@pytest.mark.parametrize("kind", ['"again"', '"end","code":75'], ids=["again", "end"])
def test_a_reason_is_printable_when_it_is_heard(kind: str) -> None:
    heard = OF_LEADER.decode(b'{"say":%s,"why":"\\u001b[2J\\u009bA"}' % kind.encode())
    assert isinstance(heard, Again | End)
    assert heard.why == " [2J A"


def test_a_long_reason_is_cut_so_that_it_is_no_longer_than_a_message_may_be() -> None:
    message = End(code=ExitCode.TRANSIENT, why="😀" * 100_000)
    assert message.why == "😀" * 4096
    assert len(encode(message)) < 1 << 15
