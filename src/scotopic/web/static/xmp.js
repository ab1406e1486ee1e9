/** XMP packets: a photographer's own words read from any packet, and our small packet written.
 *
 * Mirrors `scotopic.xmp`. A worker has no XML parser of the browser's, so here is a small one. */

import { openTiff } from "./tiff.js";

const XMP = 700;
const ENHANCED_MARK = "Enhanced";
const NAMESPACE = "urn:scotopic:xmp:1.0/";
const RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#";
const XMP_BASIC = "http://ns.adobe.com/xap/1.0/";
const DC = "http://purl.org/dc/elements/1.1/";
const IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/";
const XML = "http://www.w3.org/XML/1998/namespace";
const ENHANCED_BY_ALGORITHM = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced";

const LARGEST_PACKET = 1 << 22;
const DEEPEST = 100;
const OPENS = "<x:xmpmeta";
const CLOSES = "</x:xmpmeta>";

/** The XMP packet of a file: TIFF's tag 700, or the first that stands in any other file; or nothing. */
export function packetOf(bytes) {
  const order = String.fromCharCode(...bytes.subarray(0, 2));
  if (order === "II" || order === "MM") {
    const page = openTiff(bytes, true)?.pages[0];
    const packet = page?.bytes(XMP) ?? new Uint8Array(0);
    return packet.length > LARGEST_PACKET ? new Uint8Array(0) : packet;
  }
  const start = find(bytes, OPENS, 0);
  const stop = start < 0 ? -1 : find(bytes, CLOSES, start);
  return stop < 0 ? new Uint8Array(0) : bytes.subarray(start, stop + CLOSES.length);
}

function find(bytes, text, from) {
  const wanted = new TextEncoder().encode(text);
  for (let at = bytes.indexOf(wanted[0], from); at >= 0; at = bytes.indexOf(wanted[0], at + 1)) {
    if (wanted.every((b, i) => bytes[at + i] === b)) return at;
  }
  return -1;
}

/** { words, enhanced }: the words in a packet, and whether it carries our mark; no words for what is no XMP.
 *
 * Words: rating (-1 to 5 or null), label, title, description, subjects, rights, creators. */
export function parsePacket(bytes) {
  const words = { rating: null, label: "", title: "", description: "", subjects: [], rights: "", creators: [] };
  let enhanced = false;
  const text = new TextDecoder().decode(bytes);
  // No packet needs a DOCTYPE; its entities are a way to do harm.
  if (bytes.length > LARGEST_PACKET || text.includes("<!DOCTYPE") || text.includes("<!ENTITY"))
    return { words, enhanced };
  const [start, stop] = [text.indexOf(OPENS), text.lastIndexOf(CLOSES)];
  const body = start >= 0 && start < stop ? text.slice(start, stop + CLOSES.length) : text.replaceAll("\0", " ").trim();
  let root;
  try {
    root = parseXml(body);
  } catch {
    return { words, enhanced };
  }
  for (const description of all(root, RDF, "Description")) {
    const found = {
      rating: ratingOf(property(description, XMP_BASIC, "Rating")),
      label: property(description, XMP_BASIC, "Label"),
      title: items(description, "title")[0] ?? "",
      description: items(description, "description")[0] ?? "",
      subjects: items(description, "subject"),
      rights: items(description, "rights")[0] ?? "",
      creators: items(description, "creator"),
    };
    for (const [name, value] of Object.entries(found)) {
      const isSilent = value === null || value.length === 0;
      const wasSilent = words[name] === null || words[name].length === 0;
      if (!isSilent && wasSilent) words[name] = value;
    }
    enhanced ||= property(description, NAMESPACE, ENHANCED_MARK).toLowerCase() === "true";
  }
  return { words, enhanced };
}

function ratingOf(text) {
  const value = text.trim() === "" ? NaN : Number(text);
  return value >= -1 && value <= 5 ? Math.round(value) : null;
}

/** A simple property, written as an attribute or as an element. */
function property(description, namespace, name) {
  const attribute = description.attributes.find((a) => a.namespace === namespace && a.name === name);
  const child = description.children.find((c) => c.namespace === namespace && c.name === name);
  return (attribute?.value ?? child?.text ?? "").trim();
}

/** A Dublin Core property's items; the default language first. */
function items(description, name) {
  const element = description.children.find((c) => c.namespace === DC && c.name === name);
  if (!element) {
    const plain = property(description, DC, name);
    return plain ? [plain] : [];
  }
  const language = (item) =>
    item.attributes.find((a) => a.namespace === XML && a.name === "lang")?.value ?? "x-default";
  const listed = all(element, RDF, "li");
  const texts = listed.length
    ? [...listed].sort((a, b) => (language(a) !== "x-default") - (language(b) !== "x-default")).map((item) => item.text)
    : [element.text];
  return texts.map((text) => text.trim()).filter(Boolean);
}

/** An element and all below it of one name. */
function all(element, namespace, name) {
  const own = element.namespace === namespace && element.name === name ? [element] : [];
  return [...own, ...element.children.flatMap((child) => all(child, namespace, name))];
}

const ENTITIES = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

function unescaped(text) {
  return text.replace(/&(#x?[0-9a-fA-F]+|\w+);/g, (whole, entity) => {
    if (entity[0] !== "#") return ENTITIES[entity] ?? fail(whole);
    return String.fromCodePoint(entity[1] === "x" ? parseInt(entity.slice(2), 16) : parseInt(entity.slice(1), 10));
  });
}

function fail(what) {
  throw new SyntaxError(`no XML: ${what}`);
}

/** A document's root element: { namespace, name, attributes, children, text }; `text` is what stands before the
 * first child. Throws SyntaxError. */
function parseXml(text) {
  const token =
    /<!--[\s\S]*?-->|<\?[\s\S]*?\?>|<!\[CDATA\[([\s\S]*?)\]\]>|<\/([^\s>]+)\s*>|<([^\s/>]+)((?:\s+[^\s=]+\s*=\s*(?:"[^"]*"|'[^']*'))*)\s*(\/?)>|([^<]+)/y;
  const top = { children: [], text: "", scope: { xml: XML } };
  const open = [top];
  let at = 0;
  for (let match = token.exec(text); match; match = token.exec(text)) {
    if (match.index !== at) fail(text.slice(at, at + 20));
    at = token.lastIndex;
    const [, cdata, closing, opening, attributes, selfClosing, plain] = match;
    const inside = open[open.length - 1];
    if (opening) {
      const element = elementOf(opening, attributes, inside.scope);
      inside.children.push(element);
      if (!selfClosing) open.push(element);
      if (open.length > DEEPEST) fail("too deep");
    } else if (closing) {
      if (open.length < 2 || inside.tag !== closing) fail(closing);
      open.pop();
    } else if ((plain ?? cdata) !== undefined && !inside.children.length) {
      inside.text += cdata ?? unescaped(plain);
    }
  }
  if (at !== text.length || open.length !== 1 || top.children.length !== 1) fail("not well-formed");
  return top.children[0];
}

function elementOf(tag, written, outer) {
  const pairs = [...written.matchAll(/([^\s=]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g)].map((m) => [
    m[1],
    unescaped(m[2] ?? m[3]),
  ]);
  const scope = { ...outer };
  for (const [name, value] of pairs) {
    if (name === "xmlns") scope[""] = value;
    if (name.startsWith("xmlns:")) scope[name.slice(6)] = value;
  }
  const named = (name, plain) => {
    const [prefix, local] = name.includes(":") ? name.split(":", 2) : ["", name];
    return { namespace: prefix === "" ? plain : (scope[prefix] ?? fail(name)), name: local };
  };
  const attributes = pairs
    .filter(([name]) => name !== "xmlns" && !name.startsWith("xmlns:"))
    .map(([name, value]) => ({ ...named(name, ""), value }));
  return { ...named(tag, scope[""] ?? ""), tag, attributes, children: [], text: "", scope };
}

/** A packet, UTF-8, with the words, what made the picture, and the mark if `enhanced`. */
export function buildPacket(words, { enhanced, tool }) {
  const quoted = (value) => `"${escaped(value).replaceAll('"', "&quot;")}"`;
  const attributes = { "xmp:CreatorTool": tool };
  if (words.rating !== null) attributes["xmp:Rating"] = String(words.rating);
  if (words.label) attributes["xmp:Label"] = words.label;
  if (enhanced) {
    attributes[`scotopic:${ENHANCED_MARK}`] = "True";
    attributes["Iptc4xmpExt:DigitalSourceType"] = ENHANCED_BY_ALGORITHM;
  }
  const list = (name, kind, values) => {
    const some = values.filter(Boolean);
    if (!some.length) return "";
    const language = kind === "Alt" ? ' xml:lang="x-default"' : "";
    const inner = some.map((value) => `<rdf:li${language}>${escaped(value)}</rdf:li>`).join("");
    return `   <dc:${name}><rdf:${kind}>${inner}</rdf:${kind}></dc:${name}>\n`;
  };
  const lists =
    list("title", "Alt", [words.title]) +
    list("description", "Alt", [words.description]) +
    list("subject", "Bag", words.subjects) +
    list("rights", "Alt", [words.rights]) +
    list("creator", "Seq", words.creators);
  const written = Object.entries(attributes)
    .map(([name, value]) => `\n    ${name}=${quoted(value)}`)
    .join("");
  return new TextEncoder().encode(
    `<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n` +
      `<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk=${quoted(tool)}>\n` +
      ` <rdf:RDF xmlns:rdf="${RDF}">\n` +
      `  <rdf:Description rdf:about="" xmlns:xmp="${XMP_BASIC}" xmlns:dc="${DC}"\n` +
      `    xmlns:Iptc4xmpExt="${IPTC}" xmlns:scotopic="${NAMESPACE}"${written}>\n${lists}` +
      `  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="w"?>`,
  );
}

/** Without the characters that XML 1.0 cannot hold. */
function escaped(text) {
  const clean = text.replace(/[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "");
  return clean.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
