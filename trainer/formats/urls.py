"""URLs in messages: without what may be a secret."""

import re


def without_secrets(text: str) -> str:
    """Return a URL, or a text that was meant to be one, with `***` for a user, a password and a query."""
    # An image may have a tag and a digest.
    text = re.sub(r"(?<=://).*@|^[^\s/@]+:[^\s/@]+@(?!sha256:)", "***@", text, flags=re.DOTALL)
    return re.sub(r"\?.*" if "://" in text else r"\?.*=.*", "?***", text, flags=re.DOTALL)
