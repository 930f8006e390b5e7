"""Where the nodes of a gang meet before each attempt, and hear of one another's end.

The leader's supervisor serves; every supervisor, the leader's too, keeps a connection to it. All must be ready for the
same stage before any starts its workers. When one fails or is lost, all end theirs at once and meet again as the next
attempt. Paddle's own rendezvous has no deadline, and a peer that is lost during a collective is noticed late or never.
"""

from trainer.rendezvous.handshake import Sign
from trainer.rendezvous.member import Member, PastError, PeerLostError
from trainer.rendezvous.server import Server

__all__ = ["Member", "PastError", "PeerLostError", "Server", "Sign"]
