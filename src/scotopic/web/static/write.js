/** A rendered picture to the bytes of a JPEG file, a band of rows at a time. Mirrors `scotopic.write`.
 *
 * No canvas: phones limit its size, and it would lose the EXIF. Memory holds one band and what is encoded. */

import { ScotopicError } from "./errors.js";
import { DPI } from "./metadata/exiftags.js";
import { instance } from "./libraw.js";
import { exifBlock, withoutGps } from "./metadata.js";
import { buildPacket } from "./metadata/xmp.js";

export const JPEG_QUALITY = 95;
const JPEG_SIDE_MAX = 65500;

/** Bytes in a segment, beside its length. */
const SEGMENT_MAX = 65533;

/** Bytes of XMP, EXIF and ICC profile that fit into one segment each. */
const PACKET_MAX = 65502;
const EXIF_MAX = 65527;
const ICC_MAX = 65519;

/** SOI and the JFIF segment that libjpeg begins with: ours come behind them. */
const JFIF_END = 20;

/** Rows encoded at a time. */
const ROWS = 64;

/** A picture as a JPEG file: { parts, size }, the bytes in parts, in order, as a Blob takes them.
 *
 * `rows(top, count)` gives (or promises) RGB bytes of `count` rows from `top`, upright. `exif` is what `read` gave;
 * `software` names the program and its version; `icc` the profile's bytes, `srgb` what EXIF says of it. `onRow(share)`
 * hears of progress. Throws unsupported for pictures larger than JPEG allows, memory. */
export async function jpeg(
  rows,
  width,
  height,
  { exif, software, quality = JPEG_QUALITY, icc = null, srgb = true, stripGps = false, enhanced = true, onRow = null },
) {
  const { parts } = await encoded(rows, width, height, quality, onRow);
  const carried = stripGps ? withoutGps(exif) : exif;
  const [first] = parts;
  const whole = [
    withDensity(first.subarray(0, JFIF_END)),
    ...heads(carried, width, height, { software, icc, srgb, enhanced }),
    first.subarray(JFIF_END),
    ...parts.slice(1),
  ];
  return { parts: whole, size: sizeOf(whole) };
}

/** The JFIF segment saying the density that EXIF says, in dots an inch, where nothing is known. */
function withDensity(head) {
  const told = head.slice();
  told.set([1, 0, DPI, 0, DPI], 13);
  return told;
}

const sizeOf = (parts) => parts.reduce((sum, part) => sum + part.length, 0);

/** The same without any metadata: { parts, size }. */
export async function encoded(rows, width, height, quality, onRow = null) {
  if (Math.max(width, height) > JPEG_SIDE_MAX) {
    throw new ScotopicError("unsupported", `a JPEG has at most ${JPEG_SIDE_MAX} pixels a side`, { kind: "JPEG size" });
  }
  const exports = await instance();
  const encoder = exports.jpeg_encoder(width, height, quality);
  const band = encoder && exports.malloc(width * ROWS * 3);
  if (!band) throw new ScotopicError("memory", "not enough memory to encode the picture");
  const parts = [];
  const take = () => {
    const from = exports.jpeg_bytes(encoder);
    parts.push(new Uint8Array(exports.memory.buffer, from, exports.jpeg_ready(encoder)).slice());
    exports.jpeg_taken(encoder);
  };
  for (let top = 0; top < height; top += ROWS) {
    const count = Math.min(ROWS, height - top);
    const rgb = await rows(top, count);
    new Uint8Array(exports.memory.buffer).set(rgb.subarray(0, width * count * 3), band);
    if (!exports.jpeg_rows(encoder, band, count)) throw new ScotopicError("memory", "the picture could not be encoded");
    take();
    onRow?.((top + count) / height);
  }
  if (!exports.jpeg_finish(encoder)) throw new ScotopicError("memory", "the picture could not be encoded");
  take();
  return { parts, size: sizeOf(parts) };
}

/** The segments with EXIF, XMP and the ICC profile. */
function heads(exif, width, height, { software, icc, srgb, enhanced }) {
  const segments = [];
  segments.push(segment(0xe1, "Exif\0\0", exifBlock(exif, width, height, software, srgb, EXIF_MAX)));
  segments.push(segment(0xe1, "http://ns.adobe.com/xap/1.0/\0", xmpPacket(exif, enhanced, software, PACKET_MAX)));
  if (icc) {
    const count = Math.ceil(icc.length / ICC_MAX);
    for (let i = 0; i < count; i++) {
      const part = icc.subarray(i * ICC_MAX, (i + 1) * ICC_MAX);
      segments.push(segment(0xe2, `ICC_PROFILE\0${String.fromCharCode(i + 1, count)}`, part));
    }
  }
  return segments;
}

/** The XMP packet; of words that do not fit into `atMost` bytes the longest stay out, but the rating stays. */
export function xmpPacket(exif, enhanced, tool, atMost = Infinity) {
  const rating = exif.words.rating ?? exif.main.get(0x4746)?.values[0] ?? null;
  const words = { ...exif.words, rating };
  return buildPacket(words, { enhanced: enhanced || exif.enhanced, tool, atMost });
}

/** One segment of a JPEG; throws RangeError for what none can hold: its length would be written wrong. */
export function segment(marker, name, content) {
  const length = name.length + content.length;
  if (length > SEGMENT_MAX) throw new RangeError(`${length} bytes are too many for a segment of a JPEG`);
  const out = new Uint8Array(4 + length);
  new DataView(out.buffer).setUint16(2, 2 + length);
  out[0] = 0xff;
  out[1] = marker;
  for (let i = 0; i < name.length; i++) out[4 + i] = name.charCodeAt(i);
  out.set(content, 4 + name.length);
  return out;
}
