/** What a DNG says of its main raw picture: which of its pages that is, and all that its tags tell.
 *
 * Mirrors `scotopic.dng.directory`. */

import { ScotopicError, damaged, unsupported } from "../errors.js";
import { DNG_VERSION } from "../identify.js";
import { allPages, isTiff, layout, openTiff } from "../tiff.js";
import { correctsLens, gainMaps, leadingGains, split, toneMaps } from "./opcodes.js";
import * as tagsOf from "./tags.js";
import { Tags } from "./tags.js";

/** The photometric interpretations of raw pictures: a mosaic, and all colours at a pixel. */
const CFA = 32803;
export const LINEAR_RAW = 34892;

export const DEFLATE = [8, 32946];
export const LOSSLESS_JPEG = 7;
export const LOSSY_JPEG = 34892;
export const JPEG_XL = 52546;

/** Segments of a JPEG among which its frame header is looked for. */
const SEGMENTS = 64;

/** NewSubFileType: a smaller copy; Adobe's denoised or upscaled picture beside the original. */
const REDUCED = 1;
const ENHANCED = 16;

/** The largest picture of a camera is a sensor-shift one of 400 million pixels; more is a broken file. */
const SIDE_MAX = 65535;
const PIXELS_MAX = 500_000_000;
const FIELDS_MAX = 16;

const LENS_NOTE = "its lens correction (OpcodeList3) is not applied; a DNG made of it hands it on to editors";

/** Smaller pictures are damage or thumbnails; LibRaw's limit. */
export const SIDE_MIN = 22;

/** The tags of a DNG's main raw picture; null for other files and for directories beyond reading.
 *
 * Throws unsupported for sensors that cannot be enhanced, truncated for tags that contradict themselves. */
export function readTags(bytes) {
  if (!isTiff(bytes)) return null;
  try {
    const tiff = openTiff(bytes);
    const page = tiff && mainPage(tiff);
    return page ? described(tiff, page, bytes) : null;
  } catch (error) {
    if (error instanceof ScotopicError) throw error;
    // A directory that cannot be read here is no reason to refuse a picture that LibRaw can.
    return null;
  }
}

/** The page of the picture as shot: full size before smaller copies, mosaic before Adobe's enhanced one. */
export function mainPage(tiff) {
  if (!allPages(tiff).some((page) => page.has(DNG_VERSION))) return null;
  const pages = rawPages(tiff);
  return pages.length ? pages.reduce((best, page) => (isBefore(rank(page), rank(best)) ? page : best)) : null;
}

/** Markers of JPEG's frame headers, each a way of coding; of them 0xC3 is the lossless way that DNG has. */
const isFrame = (marker) => marker >= 0xc0 && marker < 0xd0 && ![0xc4, 0xc8, 0xcc].includes(marker);
const LOSSLESS_FRAME = 0xc3;

/** Whether a picture is in JPEG's lossy way, whatever number its compression bears: some files of 12 bits give it the
 * lossless one's, of which LibRaw decodes nothing, without an error. */
function isLossy({ compression, offsets }, bytes) {
  if (compression !== LOSSLESS_JPEG || !offsets.length) return compression === LOSSY_JPEG;
  const frame = frameOf(bytes, offsets[0]);
  return frame !== null && frame !== LOSSLESS_FRAME;
}

/** The marker of the frame header of a JPEG that begins there; null where there is none. */
function frameOf(bytes, at) {
  if (bytes[at] !== 0xff || bytes[at + 1] !== 0xd8) return null;
  at += 2;
  for (let segment = 0; segment < SEGMENTS && bytes[at] === 0xff; segment++) {
    // Any number of fill bytes may stand before a marker (JPEG, B.1.1.2).
    while (bytes[at + 1] === 0xff) at++;
    if (isFrame(bytes[at + 1])) return bytes[at + 1];
    at += 2 + Math.max(bytes[at + 2] * 256 + bytes[at + 3], 2);
  }
  return null;
}

const rawPages = (tiff) => allPages(tiff).filter((page) => [CFA, LINEAR_RAW].includes(page.number(262, -1)));

function rank(page) {
  const kind = page.number(254, 0);
  const area = page.number(256, 0) * page.number(257, 0);
  return [kind & REDUCED ? 1 : 0, kind === ENHANCED ? 1 : 0, -area, page.number(262) === CFA ? 0 : 1];
}

function isBefore(a, b) {
  const at = a.findIndex((v, i) => v !== b[i]);
  return at >= 0 && a[at] < b[at];
}

function described(tiff, page, bytes) {
  const tags = new Tags(page, tiff.pages[0]);
  const stored = layout(page);
  stored.isLossy = isLossy(stored, bytes);
  const { width, height, samples, bits, isFloat, compression } = stored;
  checkSize(page, width, height);
  const isMosaic = stored.photometric === CFA;
  if (!(isMosaic ? [1] : [1, 3]).includes(samples)) {
    throw unsupported(
      "samples",
      `holds ${samples} values a pixel; mosaics of one, and pictures of one or three are known`,
    );
  }
  const cfa = isMosaic ? tagsOf.cell(tags) : null;
  const area = tagsOf.activeArea(tags, width, height);
  const table = tags.numbers(tagsOf.LINEARIZATION_TABLE);
  const matrix = isMosaic || samples === 3 ? tagsOf.matrix(tags) : null;
  const interleave = [tagsOf.ROW_FIELDS, tagsOf.COLUMN_FIELDS].map((code) => Math.max(1, page.number(code, 1)));
  if (Math.max(...interleave) > FIELDS_MAX) throw damaged(`claims that its rows lie in ${interleave} fields`);
  const { maps, gains, notes } = opcodes(page, cfa?.length ?? null);
  const baseline = cfa ? { ev: 0, note: "" } : tagsOf.baselineEv(tags);
  const others = rawPages(tiff).filter((other) => other !== page && rank(other)[2] <= rank(page)[2]);
  const reasons = {
    "JPEG XL": compression === JPEG_XL,
    "lossy JPEG": stored.isLossy,
    "floats, which LibRaw rounds": isFloat,
    "more than 16 bits": bits > 16,
    "stored in several fields": interleave.join() !== "1,1",
    "integers in deflate": DEFLATE.includes(compression),
    "a curve in its opcodes": maps.length > 0,
    "an active area beyond the picture": tagsOf.statesOtherArea(tags, area),
    BigTIFF: tiff.big,
    "several raw pictures": others.length > 0,
  };
  const stated = tags.numbers(274)?.[0];
  return {
    page,
    stored,
    width,
    height,
    samples,
    isFloat,
    cfa,
    area,
    masked: tagsOf.maskedAreas(tags, width, height),
    black: tagsOf.black(tags, samples, cfa),
    rowDelta: tagsOf.delta(tags, tagsOf.BLACK_DELTA_V, area[2] - area[0]),
    columnDelta: tagsOf.delta(tags, tagsOf.BLACK_DELTA_H, area[3] - area[1]),
    white: tagsOf.white(tags, samples, bits, isFloat, table),
    table: table === null || isFloat ? null : Uint16Array.from(table),
    maps,
    gains,
    baselineEv: baseline.ev,
    notes: [...notes, baseline.note].filter(Boolean),
    interleave,
    wb: tagsOf.whiteBalance(tags, matrix),
    xyzToCamera: matrix,
    orientation: stated >= 1 && stated <= 8 ? Math.trunc(stated) : 1,
    pixelAspect: tagsOf.pixelAspect(tags),
    noise: tagsOf.noiseProfile(tags.numbers(tagsOf.NOISE_PROFILE)),
    beyondLibraw: Object.keys(reasons).filter((words) => reasons[words]),
    make: tags.text(271),
    model: tags.text(272) || tags.text(50708),
    ...tagsOf.shot(tags),
  };
}

/** Curves and gains of the opcodes; a word on what is broken or not followed. */
function opcodes(page, cell) {
  const found = { maps: [], gains: [], notes: [] };
  for (const [code, name] of [
    [tagsOf.OPCODE_LIST_2, "OpcodeList2"],
    [tagsOf.OPCODE_LIST_3, "OpcodeList3"],
  ]) {
    if (!page.has(code)) continue;
    try {
      const listed = split(page.bytes(code));
      if (code === tagsOf.OPCODE_LIST_2) {
        found.maps = toneMaps(listed);
        found.gains.push(...gainMaps(listed, cell));
      } else {
        // Of demosaiced pixels, whatever they come from.
        found.gains.push(...gainMaps(leadingGains(listed), null));
        if (correctsLens(listed)) found.notes.push(LENS_NOTE);
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      found.notes.push(`its corrections in ${name} are broken and left out`);
    }
  }
  return found;
}

/** Refuse what no camera makes before memory is asked for. */
function checkSize(page, width, height) {
  const tile = Math.max(1, page.number(322, 0)) * Math.max(1, page.number(323, 0));
  const fits = Math.min(width, height) > 0 && Math.max(width, height) <= SIDE_MAX;
  if (!fits || Math.max(width * height, tile) > PIXELS_MAX) {
    throw damaged(`claims to be ${width}x${height} pixels, no camera's picture`, { width, height });
  }
}
