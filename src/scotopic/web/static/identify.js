/** What a file is, by its bytes alone: a RAW photo that may be decoded, or what else. Mirrors `scotopic.identify`. */

import { damaged, notRaw } from "./errors.js";
import { allPages, isTiff, layout, openTiff } from "./tiff.js";

export const DNG_VERSION = 50706;

const DEVELOPED = [
  [0, "\xff\xd8\xff", "JPEG"],
  [0, "\x89PNG\r\n", "PNG"],
  [0, "GIF8", "GIF"],
  [0, "BM", "BMP"],
  [0, "8BPS", "Photoshop"],
  [8, "WEBP", "WebP"],
  [0, "\xff\x0a", "JPEG XL"],
  [0, "\0\0\0\x0cJXL ", "JPEG XL"],
  [0, "\0\0\0\x0cjP  ", "JPEG 2000"],
];
const ISO_MEDIA_RAW = ["crx "];
const ISO_MEDIA_PICTURES = {
  HEIC: ["heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs", "mif1", "msf1"],
  AVIF: ["avif", "avis"],
};
/** What a film begins with that has no brand: older cameras' MOV. */
const QUICKTIME = ["moov", "mdat", "wide", "free", "skip", "pnot"];
const ARCHIVES = ["PK\x03\x04", "Rar!\x1a", "7z\xbc\xaf\x27", "\x1f\x8b\x08"];
const DOCUMENTS = ["%PDF-", "<?xml", "<html", "<!DOC"];

/** RGB, CMYK, YCbCr and Lab. */
const FINISHED_PHOTOMETRICS = [2, 5, 6, 8];

/** TIFF compressions from here on are makers' own; some are RAW. */
const VENDORS_FROM = 32767;

/** What Fujifilm's RAF files begin with, as far as LibRaw asks. */
const RAF_HEAD = "FUJIFILM";

/** Bytes of a RAF's own header, of the oldest cameras' at least: the preview follows. */
const RAF_HEADER = 148;

/** Where a RAF says at which byte its light begins, as four bytes, the highest first. */
const RAF_LIGHT_AT = 100;

/** How many bytes tell what a file is, if it is no RAW photo. */
export const HEAD = 4096;

/** Throw if a file that begins with these bytes (HEAD of them, or all there are) is none: jpeg, not-raw, truncated. */
export function checkHead(bytes) {
  const head = String.fromCharCode(...bytes.subarray(0, HEAD));
  if (!/[^\0]/.test(head)) throw damaged(`the file ${head ? "begins with nothing but zeros" : "is empty (0 bytes)"}`);
  for (const [at, magic, kind] of DEVELOPED) {
    if (head.startsWith(magic, at)) {
      throw notRaw(kind, `is a ${kind} picture, not a RAW file`, kind === "JPEG" ? "jpeg" : "not-raw");
    }
  }
  const [box, brand] = [head.slice(4, 8), head.slice(8, 12)];
  if (QUICKTIME.includes(box)) throw notRaw("video", "is a video, not a RAW file");
  if (box === "ftyp" && !ISO_MEDIA_RAW.includes(brand)) {
    const [kind] = Object.entries(ISO_MEDIA_PICTURES).find(([, brands]) => brands.includes(brand)) ?? [];
    if (!kind) throw notRaw("video", "is a video, not a RAW file");
    // A phone's photo library hands these over in place of the RAW file, as it does JPEGs.
    throw notRaw(kind, "is a HEIC or AVIF picture, not a RAW file", "jpeg");
  }
  if (ARCHIVES.some((magic) => head.startsWith(magic))) throw notRaw("archive", "is an archive, not a RAW file");
  if (DOCUMENTS.some((word) => head.trimStart().startsWith(word)) || isText(bytes.subarray(0, HEAD))) {
    throw notRaw("document", "is a document, not a RAW file");
  }
}

/** Throw if the bytes cannot be a whole RAW photo's: jpeg, not-raw or truncated. */
export function checkIsRaw(bytes) {
  checkHead(bytes);
  const head = String.fromCharCode(...bytes.subarray(0, HEAD));
  if (head.startsWith(RAF_HEAD)) checkRaf(bytes);
  if (!isTiff(bytes)) return;
  const tiff = openTiff(bytes);
  const pages = tiff ? allPages(tiff).map((page) => ({ page, ...layout(page) })) : [];
  if (!pages.length) {
    if (tiff?.first >= bytes.length)
      throw damaged("the RAW file is cut short before its directory", { size: bytes.length });
    return; // No readable directory: LibRaw gives the verdict.
  }
  if (isDeveloped(head, pages)) throw notRaw("TIFF", "is a developed TIFF, not a RAW file");
  checkExtents(bytes.length, pages);
}

/** Throw truncated where a Fujifilm RAF ends before its header does, or before the light it points to. */
function checkRaf(bytes) {
  const size = bytes.length;
  const light = size < RAF_HEADER ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(RAF_LIGHT_AT);
  const needed = Math.max(light, RAF_HEADER);
  if (needed >= size)
    throw damaged(`the RAW file is cut short before its picture (${size} bytes are there, ${needed} and more needed)`, {
      size,
    });
}

const area = ({ width, height }) => width * height;

/** A TIFF whose largest picture has finished colours, and that is no DNG and no maker's RAW. */
function isDeveloped(head, pages) {
  if (head.slice(8, 10) === "CR" || pages.some(({ page }) => page.has(DNG_VERSION))) return false;
  const largest = pages.reduce((best, page) => (area(page) > area(best) ? page : best));
  return (
    FINISHED_PHOTOMETRICS.includes(largest.photometric) && largest.samples >= 3 && largest.compression < VENDORS_FROM
  );
}

/** Throw truncated where the file ends before the picture that its tags promise. */
function checkExtents(size, pages) {
  const largest = Math.max(...pages.map(area));
  const ends = pages
    .filter((page) => 4 * area(page) >= largest)
    .flatMap(({ offsets, lengths }) => offsets.slice(0, lengths.length).map((at, i) => at + lengths[i]));
  const needed = ends.reduce((most, end) => Math.max(most, end), 0);
  if (needed > size) {
    throw damaged(`the RAW file is cut short (${size} bytes are there, ${needed} needed)`, { size, needed });
  }
}

function isText(head) {
  const plain = (b) => b >= 128 || (b >= 32 && b < 127) || (b >= 8 && b <= 10) || b === 12 || b === 13 || b === 27;
  return head.every(plain) && (head.includes(10) || head.length < HEAD);
}
