"""What the nodes of a gang say to each other. Anything else closes the connection.

Text of a peer ends in logs and on terminals: what cannot be printed is replaced by a space when a message is decoded,
and when it is made, since half a character of a file's name cannot be sent.
"""

from typing import Annotated, Final

import msgspec

from trainer.contract import ExitCode

WORDS: Final = 4096
"""Characters of a reason. What a pod leaves as its last words is no longer."""

Token = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
"""A nonce or a signature."""

Name = Annotated[str, msgspec.Meta(max_length=256)]

Number = Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="say", forbid_unknown_fields=True):
    """One line of a connection."""


class Challenge(Message, frozen=True, kw_only=True, tag="challenge"):
    """The leader's first message on each connection."""

    nonce: Token


class Hello(Message, frozen=True, kw_only=True, tag="hello"):
    """A node's first message: which one it is, and the proof."""

    node: Number
    nonce: Token
    proof: Token


class Welcome(Message, frozen=True, kw_only=True, tag="welcome"):
    """The leader's proof. All later messages are sealed."""

    proof: Token


class Ready(Message, frozen=True, kw_only=True, tag="ready"):
    """A node is ready for a stage."""

    stage: Name
    dataset: Name
    """Identifies its prepared data."""


class Done(Message, frozen=True, kw_only=True, tag="done"):
    """A node's workers have finished the stage."""

    attempt: Number


class _Reasoned(Message, frozen=True, kw_only=True):
    why: str

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "why", plain(self.why)[:WORDS])


class Failed(_Reasoned, frozen=True, kw_only=True, tag="failed"):
    """A node's workers have failed."""

    attempt: Number
    code: ExitCode


class Go(Message, frozen=True, kw_only=True, tag="go"):
    """All nodes are ready: start the workers."""

    attempt: Number


class Again(_Reasoned, frozen=True, kw_only=True, tag="again"):
    """The attempt is void: end the workers, and be ready for the next one."""


class Past(Message, frozen=True, kw_only=True, tag="past"):
    """The stage for which a node is ready is done, and its results are in the bucket."""


class Noted(Message, frozen=True, kw_only=True, tag="noted"):
    """The leader has received `Done` or `Failed`."""


class End(_Reasoned, frozen=True, kw_only=True, tag="end"):
    """The gang is ended for good."""

    code: ExitCode


OfMember = Ready | Done | Failed
OfLeader = Go | Again | Past | Noted | End

CHALLENGE: Final = msgspec.json.Decoder(Challenge)
HELLO: Final = msgspec.json.Decoder(Hello)
WELCOME: Final = msgspec.json.Decoder(Welcome)
OF_MEMBER: Final[msgspec.json.Decoder[OfMember]] = msgspec.json.Decoder(OfMember)
OF_LEADER: Final[msgspec.json.Decoder[OfLeader]] = msgspec.json.Decoder(OfLeader)

encode: Final = msgspec.json.Encoder().encode


def plain(text: str) -> str:
    """Return a text with a space in the place of each character that cannot be printed."""
    return "".join(character if character.isprintable() else " " for character in text)
