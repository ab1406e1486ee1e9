"""Who may speak to the server: the page itself, never another site's page, whatever its name resolves to."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scotopic.web.headers import API_HEADERS, PAGE_HEADERS
from scotopic.web.refusal import error_answer

_TOLD = 80
"""Characters of a header that are repeated in a refusal."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
API = "/api"


@dataclass(frozen=True)
class Names:
    """Under which names the server may be called."""

    hosts: frozenset[str] = LOOPBACK
    origins: frozenset[str] = frozenset()
    """Names whose own pages may ask under whatever name: a proxy's, which need not pass its own on as `Host`."""
    any_address: bool = False
    """Any plain IP address too: behind one there is no name that could be made to mean another machine."""

    def know(self, host: str | None) -> bool:
        """Whether a request to that host is meant for us."""
        if host is None:
            return False
        return host in self.hosts or (self.any_address and _is_address(host))


class Guard:
    """Passes on what is meant for us, and says in every answer what a browser may do with it.

    Another site's page can send requests here: those carry its `Origin`, and newer browsers say so in
    `Sec-Fetch-Site`. Where its name was made to resolve to this machine (DNS rebinding), `Host` gives it away.
    """

    def __init__(self, app: ASGIApp, names: Names) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        path = scope["path"]
        to_api = path == API or path.startswith(f"{API}/")
        sent = API_HEADERS if to_api else PAGE_HEADERS

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in sent.items():
                    headers.setdefault(name, value)
            await send(message)

        why = self._refusal(to_api, Headers(scope=scope))
        if why:
            await error_answer("foreign", why)(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)

    def _refusal(self, to_api: bool, headers: Headers) -> str:
        """Why a request is not ours, or nothing."""
        hosts = headers.getlist("host")
        if len(hosts) != 1:
            return f"a request needs one Host, and this one has {len(hosts) or 'none'}"
        if not self._names.know(host_of(hosts[0])):
            return (
                f"this server does not go by the name that came as Host ({_short(hosts[0])}): open it as localhost, "
                "or start it with --allow-host NAME"
            )
        if not to_api:
            return ""
        origin = headers.get("origin")
        if origin is not None and not self._is_ours(origin, hosts[0]):
            return (
                f"pages of other sites may not use this computer: Origin is {_short(origin)}, Host is "
                f"{_short(hosts[0])}. If a proxy stands between, start it with --allow-host and the proxy's name"
            )
        site = headers.get("sec-fetch-site", "none")
        if site not in ("none", "same-origin"):
            return f"pages of other sites may not use this computer: Sec-Fetch-Site is {_short(site)}"
        return ""

    def _is_ours(self, origin: str, host: str) -> bool:
        scheme, _, place = origin.partition("://")
        if _place(place) == _place(host):
            return True
        return scheme in ("http", "https") and host_of(place) in self._names.origins


def _short(header: str) -> str:
    return header if len(header) <= _TOLD else f"{header[:_TOLD]}..."


def host_of(text: str) -> str | None:
    """The name in a Host header, without its port; None where it is none."""
    try:
        parts = urlsplit(f"//{text}")
        _ = parts.port
    except ValueError:
        return None
    if parts.netloc != text or "@" in text or parts.path or parts.query or parts.fragment:
        return None
    return parts.hostname


def _place(text: str) -> tuple[str | None, int]:
    """Host and port, the ports of http and https taken for the same: a proxy may speak https for us."""
    try:
        parts = urlsplit(f"//{text}")
        port = parts.port
    except ValueError:
        return None, 0
    return parts.hostname, 443 if port in (None, 80) else port


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
