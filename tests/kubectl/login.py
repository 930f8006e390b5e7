"""A program that logs in, for the cases: it notes what it is told, and prints what it was made to."""

import json
from typing import Any, Final

from tests.kubectl.world import Script

V1: Final = "client.authentication.k8s.io/v1"

_SCRIPT: Final = """\
#!/bin/sh
info=$(printf %s "$KUBERNETES_EXEC_INFO")
printf '{"info":%s,"arguments":"%s","own":"%s"}\\n' "$info" "$*" "$OWN" >> "<folder>/logins"
cat <<'END'
PRINTED
END
echo "login: done" >&2
exit CODE
"""


def login(
    status: Any = None, *, prints: str | None = None, code: int = 0, user: Any = None, **fields: Any
) -> dict[str, Any]:
    """Return the user of a case, and the files with the program.

    Args:
        status: what it prints as the status of its credential; None: a token.
        prints: what it prints instead.
        code: what it ends with.
        user: more fields of the user.
        fields: of `exec`; those that are None are left out.
    """
    usual = {"apiVersion": V1, "command": "./login", "interactiveMode": "IfAvailable"}
    given = {key: value for key, value in {**usual, **fields}.items() if value is not None}
    credential = {
        "apiVersion": given.get("apiVersion", V1),
        "kind": "ExecCredential",
        "status": {"token": "s3cr3t-login"} if status is None else status,
    }
    text = json.dumps(credential) if prints is None else prints
    script = Script(_SCRIPT.replace("PRINTED", text).replace("CODE", str(code)))
    return {"user": {"exec": given, **(user or {})}, "files": {"login": script}}
