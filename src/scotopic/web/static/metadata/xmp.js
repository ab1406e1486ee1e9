/** XMP packets: a photographer's own words read from any packet, and our small packet written.
 *
 * Mirrors `scotopic.metadata.xmp`. A worker has no XML parser of the browser's, so here is a small one. */

import { openTiff } from "../tiff.js";

const XMP = 700;
const ENHANCED_MARK = "Enhanced";
const NAMESPACE = "urn:scotopic:xmp:1.0/";
const RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#";
const XML = "http://www.w3.org/XML/1998/namespace";
const NAMESPACES = {
  xmp: "http://ns.adobe.com/xap/1.0/",
  dc: "http://purl.org/dc/elements/1.1/",
  xmpRights: "http://ns.adobe.com/xap/1.0/rights/",
  photoshop: "http://ns.adobe.com/photoshop/1.0/",
  Iptc4xmpCore: "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
  Iptc4xmpExt: "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
  lr: "http://ns.adobe.com/lightroom/1.0/",
  scotopic: NAMESPACE,
};

/** All words that are carried, by field: prefix, name and form in XMP; the rating besides, which is a number. */
const PROPERTIES = {
  label: ["xmp", "Label", "text"],
  title: ["dc", "title", "alt"],
  description: ["dc", "description", "alt"],
  subjects: ["dc", "subject", "bag"],
  rights: ["dc", "rights", "alt"],
  creators: ["dc", "creator", "seq"],
  keyword_trees: ["lr", "hierarchicalSubject", "bag"],
  persons: ["Iptc4xmpExt", "PersonInImage", "bag"],
  marked: ["xmpRights", "Marked", "text"],
  owners: ["xmpRights", "Owner", "bag"],
  usage_terms: ["xmpRights", "UsageTerms", "alt"],
  web_statement: ["xmpRights", "WebStatement", "text"],
  credit: ["photoshop", "Credit", "text"],
  source: ["photoshop", "Source", "text"],
  instructions: ["photoshop", "Instructions", "text"],
  headline: ["photoshop", "Headline", "text"],
  authors_position: ["photoshop", "AuthorsPosition", "text"],
  caption_writer: ["photoshop", "CaptionWriter", "text"],
  city: ["photoshop", "City", "text"],
  state: ["photoshop", "State", "text"],
  country: ["photoshop", "Country", "text"],
  contact: ["Iptc4xmpCore", "CreatorContactInfo", "structure"],
};

/** Names in the contact: XML's own letters only, as they are written out again. */
const PART = /^Ci[A-Za-z]{1,30}$/;
const ENHANCED_BY_ALGORITHM = "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicallyEnhanced";

const LARGEST_PACKET = 1 << 22;
const DEEPEST = 100;
const DESCRIPTIONS_MAX = 1000;

/** Declarations of namespaces in a packet; programs write a dozen. */
const DECLARATIONS_MAX = 10_000;

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
 * Words: rating (-1 to 5 or null), and the fields of PROPERTIES: texts, arrays of them, of the contact [name, text]. */
export function parsePacket(bytes) {
  const fields = Object.entries(PROPERTIES);
  const silent = fields.map(([field, [, , form]]) => [field, form === "text" || form === "alt" ? "" : []]);
  const words = { rating: null, ...Object.fromEntries(silent) };
  let enhanced = false;
  if (bytes.length > LARGEST_PACKET) return { words, enhanced };
  const text = decoded(bytes);
  // No packet needs a DOCTYPE; its entities are a way to do harm.
  if (text.includes("<!DOCTYPE") || text.includes("<!ENTITY")) return { words, enhanced };
  if (text.split("xmlns").length - 1 > DECLARATIONS_MAX) return { words, enhanced };
  const [start, stop] = [text.indexOf(OPENS), text.lastIndexOf(CLOSES)];
  const body = start >= 0 && start < stop ? text.slice(start, stop + CLOSES.length) : text.replaceAll("\0", " ").trim();
  let root;
  try {
    root = parseXml(body);
  } catch {
    return { words, enhanced };
  }
  const readers = { text: property, alt: (...p) => items(...p)[0] ?? "", bag: items, seq: items, structure: parts };
  for (const description of descriptions(root)) {
    const found = { rating: ratingOf(property(description, NAMESPACES.xmp, "Rating")) };
    for (const [field, [prefix, name, form]] of fields) {
      found[field] = readers[form](description, NAMESPACES[prefix], name);
    }
    for (const [name, value] of Object.entries(found)) {
      const isSilent = value === null || value.length === 0;
      const wasSilent = words[name] === null || words[name].length === 0;
      if (!isSilent && wasSilent) words[name] = value;
    }
    enhanced ||= property(description, NAMESPACE, ENHANCED_MARK).toLowerCase() === "true";
  }
  return { words, enhanced };
}

/** What is said of the photo: those within others are of parts and of former states. */
function descriptions(root) {
  const named = (elements, name) => elements.filter((e) => e.namespace === RDF && e.name === name);
  const [first] = named([root, ...root.children], "RDF");
  return named(first?.children ?? [], "Description").slice(0, DESCRIPTIONS_MAX);
}

/** The text of a packet in UTF-8 or UTF-16, by its mark of the byte order or its first letter. */
function decoded(bytes) {
  const [first, second] = bytes;
  const begins = (a, b) => first === a && second === b;
  const encoding = begins(0xff, 0xfe) || begins(0x3c, 0) ? "utf-16le" : null;
  return new TextDecoder(encoding ?? (begins(0xfe, 0xff) || begins(0, 0x3c) ? "utf-16be" : "utf-8")).decode(bytes);
}

function ratingOf(text) {
  const value = /^[+-]?\d*\.?\d+$/.test(text) ? Number(text) : NaN;
  // Halves go up, in Python's reader too.
  return value >= -1 && value <= 5 ? Math.floor(value + 0.5) : null;
}

/** A simple property, written as an attribute or as an element. */
function property(description, namespace, name) {
  const attribute = description.attributes.find((a) => a.namespace === namespace && a.name === name);
  const child = description.children.find((c) => c.namespace === namespace && c.name === name);
  return (attribute?.value ?? child?.text ?? "").trim();
}

/** The items of a property that has several; the default language first. */
function items(description, namespace, name) {
  const element = description.children.find((c) => c.namespace === namespace && c.name === name);
  if (!element) {
    const plain = property(description, namespace, name);
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

/** The named texts of a structure, written as attributes or elements, in it or in a description in it. */
function parts(description, namespace, wanted) {
  const element = description.children.find((c) => c.namespace === namespace && c.name === wanted);
  const inner = element?.children.filter((c) => c.namespace === RDF && c.name === "Description") ?? [];
  const found = new Map();
  for (const { attributes, children } of element ? [element, ...inner] : []) {
    for (const one of [...attributes, ...children]) {
      const text = (one.value ?? one.text).trim();
      if (one.namespace === namespace && PART.test(one.name) && text && !found.has(one.name)) found.set(one.name, text);
    }
  }
  return [...found];
}

/** An element and all below it of one name. */
function all(element, namespace, name) {
  const own = element.namespace === namespace && element.name === name ? [element] : [];
  return [...own, ...element.children.flatMap((child) => all(child, namespace, name))];
}

const ENTITIES = Object.assign(Object.create(null), { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" });

/** Characters that XML 1.0 cannot hold, be they written as references. */
const NO_XML = /[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u;

/** A text without its references; throws where one is none, or stands for what XML cannot hold. */
function unescaped(text) {
  return text.replace(/&(?:#x([0-9a-fA-F]+)|#([0-9]+)|(\w+));|&/g, (whole, hex, decimal, name) => {
    if (!hex && !decimal) return ENTITIES[name] ?? fail(whole);
    const code = hex ? parseInt(hex, 16) : parseInt(decimal, 10);
    const letter = code <= 0x10ffff ? String.fromCodePoint(code) : "\0";
    return NO_XML.test(letter) ? fail(whole) : letter;
  });
}

function fail(what) {
  throw new SyntaxError(`no XML: ${what}`);
}

/** A document's root element: { namespace, name, attributes, children, text }; `text` is what stands before the
 * first child. Throws SyntaxError. */
function parseXml(written) {
  if (NO_XML.test(written)) fail("characters that it cannot hold");
  const text = written.replace(/\r\n?/g, "\n");
  const token =
    /<!--[\s\S]*?-->|<\?[\s\S]*?\?>|<!\[CDATA\[([\s\S]*?)\]\]>|<\/([^\s>]+)\s*>|<([^\s/>]+)((?:\s+[^\s=]+\s*=\s*(?:"[^"]*"|'[^']*'))*)\s*(\/?)>|([^<]+)/y;
  const scope = Object.assign(Object.create(null), { xml: XML });
  const top = { children: [], text: "", scope };
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
    } else if ((plain ?? cdata) !== undefined) {
      if (plain?.includes("]]>")) fail("]]>");
      const content = cdata ?? unescaped(plain);
      if (inside === top && content.trim()) fail("text beside the root");
      if (!inside.children.length) inside.text += content;
    }
  }
  if (at !== text.length || open.length !== 1 || top.children.length !== 1) fail("not well-formed");
  return top.children[0];
}

/** `outer` is the scope around it: namespaces by prefix, shared by elements that declare none of their own. */
function elementOf(tag, written, outer) {
  const pairs = [...written.matchAll(/([^\s=]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g)].map((m) => {
    const value = m[2] ?? m[3];
    return [m[1], value.includes("<") ? fail(value) : unescaped(value.replace(/[\t\n]/g, " "))];
  });
  if (new Set(pairs.map(([name]) => name)).size < pairs.length) fail(`${tag} says something twice`);
  const declared = pairs.filter(([name]) => name === "xmlns" || name.startsWith("xmlns:"));
  const scope = declared.length ? Object.create(outer) : outer;
  for (const [name, value] of declared) {
    if (name !== "xmlns" && !value) fail(name);
    scope[name.slice(6)] = value;
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

/** A packet, UTF-8, with the words, what made the picture, and the mark if `enhanced`.
 *
 * Of words that do not fit into `atMost` bytes the longest stay out; the rating stays. */
export function buildPacket(words, { enhanced, tool, atMost = Infinity }) {
  const attributes = { "xmp:CreatorTool": tool };
  if (words.rating !== null) attributes["xmp:Rating"] = String(words.rating);
  if (enhanced) {
    attributes[`scotopic:${ENHANCED_MARK}`] = "True";
    attributes["Iptc4xmpExt:DigitalSourceType"] = ENHANCED_BY_ALGORITHM;
  }
  const encoder = new TextEncoder();
  const written = Object.entries(PROPERTIES)
    .map(([field, of]) => element(of, words[field] ?? ""))
    .filter(Boolean);
  for (;;) {
    const bytes = encoder.encode(packet(attributes, written.join(""), tool));
    if (bytes.length <= atMost || !written.length) return bytes;
    const lengths = written.map((one) => encoder.encode(one).length);
    written.splice(lengths.indexOf(Math.max(...lengths)), 1);
  }
}

function packet(attributes, inner, tool) {
  const quoted = (value) => `"${escaped(value).replaceAll('"', "&quot;")}"`;
  const given = Object.entries(attributes).map(([name, value]) => `\n    ${name}=${quoted(value)}`);
  const spaces = Object.entries(NAMESPACES).map(([prefix, space]) => `\n    xmlns:${prefix}="${space}"`);
  return (
    `<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n` +
    `<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk=${quoted(tool)}>\n` +
    ` <rdf:RDF xmlns:rdf="${RDF}">\n` +
    `  <rdf:Description rdf:about=""${spaces.join("")}${given.join("")}>\n${inner}` +
    `  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="w"?>`
  );
}

/** A property as an element; nothing where nothing was said. */
function element([prefix, name, form], value) {
  if (!value.length) return "";
  const tag = `${prefix}:${name}`;
  if (form === "text") return `   <${tag}>${escaped(value)}</${tag}>\n`;
  if (form === "structure") {
    const inner = value.map(([part, text]) => `<${prefix}:${part}>${escaped(text)}</${prefix}:${part}>`).join("");
    return `   <${tag} rdf:parseType="Resource">${inner}</${tag}>\n`;
  }
  const language = form === "alt" ? ' xml:lang="x-default"' : "";
  const texts = (typeof value === "string" ? [value] : value).filter(Boolean);
  const inner = texts.map((text) => `<rdf:li${language}>${escaped(text)}</rdf:li>`).join("");
  const kind = `rdf:${form[0].toUpperCase()}${form.slice(1)}`;
  return `   <${tag}><${kind}>${inner}</${kind}></${tag}>\n`;
}

/** Without the characters that XML 1.0 cannot hold. */
function escaped(text) {
  const clean = text.replace(new RegExp(NO_XML, "gu"), "");
  return clean.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
