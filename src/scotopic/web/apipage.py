"""The API for people: its own description as one page that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import html
from typing import Any

_STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin: 2.5rem 0 .25rem; font: 600 1.05rem/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
h2 b { display: inline-block; min-width: 4.5rem; color: light-dark(#0a5a7d, #7cc7e8); }
pre { padding: .75rem 1rem; overflow-x: auto; border-radius: .5rem; background: light-dark(#f2f2f2, #222); }
table { border-collapse: collapse; margin: .5rem 0; }
td, th { padding: .2rem .75rem .2rem 0; text-align: left; vertical-align: top; }
th { font-weight: 500; white-space: nowrap; }
"""

_EXAMPLE = """\
curl -H 'Content-Type: application/octet-stream' --data-binary @IMG_1.ARW \\
     'http://localhost:8000/api/enhance?name=IMG_1.ARW&amp;format=jpg'      # answers with an id
curl -N http://localhost:8000/api/jobs/ID/events                        # progress, until it is done
curl -OJ http://localhost:8000/api/jobs/ID/result                       # IMG_1-scotopic.jpg"""


def api_page(document: dict[str, Any]) -> tuple[str, str]:
    """The page as HTML, and the content policy that lets it have its own style and nothing else."""
    title = f"{_text(document['info']['title'])} API"
    parts = [
        f"<h1>{title}</h1>",
        f"<p>{_text(document['info']['description'])}</p>",
        '<p>For programs: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>',
        # It scrolls: by the keyboard, too, once it can have the focus.
        f'<pre tabindex="0" role="region" aria-label="Example">{_EXAMPLE}</pre>',
    ]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts.append(f"<h2><b>{_text(method.upper())}</b> {_text(path)}</h2>")
            parts.append(f"<p>{_text(operation.get('summary', ''))}.</p>")
            parts += _table("Settings", map(_parameter, operation.get("parameters", [])))
            body = operation.get("requestBody", {}).get("content", {})
            parts += [f"<p>Body: {_text(', '.join(body))}.</p>"] if body else []
            parts += _table("Answers", ((s, a["description"]) for s, a in operation["responses"].items()))
    style = hashlib.sha256(_STYLE.encode()).digest()
    policy = (
        f"default-src 'none'; style-src 'sha256-{base64.b64encode(style).decode()}'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )
    return page, policy


def _parameter(parameter: dict[str, Any]) -> tuple[str, str]:
    schema = parameter["schema"]
    kinds = [s for s in schema.get("anyOf", [schema]) if s.get("type") != "null"]
    limits = []
    for kind in kinds:
        limits += [" | ".join(map(str, kind["enum"]))] if "enum" in kind else []
        if "minimum" in kind and "maximum" in kind:
            limits.append(f"{kind['minimum']:g} to {kind['maximum']:g}")
    if "default" in schema and schema["default"] is not None:
        limits.append(f"if not given {schema['default']}")
    words = parameter.get("description") or schema.get("description", "")
    name = parameter["name"] + (" (needed)" if parameter.get("required") else "")
    return name, " ".join([words, *(f"({limit})" for limit in limits)])


def _table(heading: str, rows: Any) -> list[str]:
    cells = [f"<tr><th>{_text(name)}<td>{_text(words)}" for name, words in rows]
    return [f"<p>{heading}</p><table>{''.join(cells)}</table>"] if cells else []


def _text(words: Any) -> str:
    return html.escape(str(words))
