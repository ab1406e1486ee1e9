"""Who sends a picture, as far as a server without accounts can tell: by the address."""

from __future__ import annotations

import ipaddress

NETWORK_BITS = 64
"""Leading bits of an IPv6 address that tell one sender from another: the rest a machine chooses by itself, as often as
it likes."""


def sender_of(address: str) -> str:
    """Whom an address stands for; nobody in particular ("") for this machine, where a proxy speaks for many.

    >>> sender_of("192.168.1.5"), sender_of("::ffff:192.168.1.5"), sender_of("127.0.0.1"), sender_of("")
    ('192.168.1.5', '192.168.1.5', '', '')
    >>> sender_of("2001:db8::1") == sender_of("2001:db8::2") == "2001:db8::/64"
    True
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    mapped = getattr(parsed, "ipv4_mapped", None)
    parsed = parsed if mapped is None else mapped
    if parsed.is_loopback:
        return ""
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, NETWORK_BITS), strict=False))
