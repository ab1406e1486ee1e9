"""What every answer says to the browser: nothing from outside, nothing to outside, threads allowed."""

from __future__ import annotations

_POLICY = {
    "default-src": "'none'",
    # Compiling WebAssembly is wanted; evaluating text is not.
    "script-src": "'self' 'wasm-unsafe-eval'",
    "worker-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob: data:",
    "connect-src": "'self'",
    "font-src": "'self'",
    "manifest-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}

CONTENT_POLICY = "; ".join(f"{name} {value}" for name, value in _POLICY.items())

PAGE_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    # These two make the page cross-origin isolated: only then are there threads (SharedArrayBuffer).
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
"""Sent with every file of the page, and written for hosts that can be told."""

API_HEADERS = {
    **PAGE_HEADERS,
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cache-Control": "no-store",
}
"""Answers of the API are data of one moment: a browser that shows one runs nothing in it, and keeps none."""
