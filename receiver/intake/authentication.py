"""Who may come in: bearer tokens and basic users of the configuration. A token is also taken as the password of any basic user, so
that a person can open a page with it.
"""

import hmac

from werkzeug.datastructures import Authorization

from receiver.settings import AuthenticationSettings


class Gate:
    """Knows the secrets; compares in constant time."""

    def __init__(self, settings: AuthenticationSettings) -> None:
        self._tokens = [ref.read().reveal().encode() for ref in settings.bearer_tokens]
        self._users = [(user.username.encode(), user.password.read().reveal().encode()) for user in settings.basic]

    def admits(self, header: str | None) -> bool:
        """Whether the credentials of this `Authorization` header are known."""
        try:
            authorization = Authorization.from_header(header)
        except ValueError:
            return False  # werkzeug stumbles over letters beyond ASCII
        if authorization is None:
            return False
        if authorization.type == "bearer":
            return self._is_token(authorization.token or "")
        if authorization.type == "basic":
            name, password = authorization.username or "", authorization.password or ""
            known = [_same(name, user) & _same(password, secret) for user, secret in self._users]
            return any(known) or self._is_token(password)
        return False

    def _is_token(self, text: str) -> bool:
        return any([_same(text, token) for token in self._tokens])  # noqa: C419 - a list: every token takes the same time


def _same(text: str, secret: bytes) -> bool:
    return hmac.compare_digest(text.encode("utf-8", "surrogatepass"), secret)
