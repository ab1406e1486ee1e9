/** Where EXIF stands in a file: most RAW files are TIFFs, Fujifilm's hold a JPEG, Canon's CR3 are boxes.
 *
 * Mirrors `scotopic.metadata.exifplaces`. */

const RAF_HEAD = "FUJIFILMCCD-RAW ";

/** Where a RAF file says offset and length of its JPEG, which holds the EXIF. */
const RAF_JPEG = 84;

/** The uuid box in a CR3's moov box, with a TIFF for each directory; CMT3 is the MakerNote. */
const CANON_BOX = "85c0b687820f11e08111f4ce462b6a48";
const CANON_DIRECTORIES = { CMT1: "main", CMT2: "exif", CMT4: "gps" };

const ascii = (bytes, from, to) => String.fromCharCode(...bytes.subarray(from, to));
const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Pieces of the file that a TIFF reader can open: { content, only }, `only` naming a single directory. */
export function exifPlaces(bytes) {
  if (ascii(bytes, 0, 16) === RAF_HEAD) {
    const at = view(bytes).getUint32(RAF_JPEG);
    const jpeg = bytes.subarray(at, at + view(bytes).getUint32(RAF_JPEG + 4));
    const content = exifOfJpeg(jpeg);
    return content ? [{ content, only: null }] : [];
  }
  if (ascii(bytes, 4, 12) === "ftypcrx ") {
    return canonBlocks(bytes)
      .filter(([kind]) => kind in CANON_DIRECTORIES)
      .map(([kind, content]) => ({ content, only: CANON_DIRECTORIES[kind] }));
  }
  if (ascii(bytes, 6, 14) === "HEAPCCDR") return [];
  return [{ content: bytes, only: null }];
}

/** The TIFF in a JPEG's APP1 segment; null where there is none. */
function exifOfJpeg(jpeg) {
  let at = 2;
  while (at + 10 < jpeg.length && jpeg[at] === 0xff) {
    const length = view(jpeg).getUint16(at + 2);
    if (jpeg[at + 1] === 0xe1 && ascii(jpeg, at + 4, at + 10) === "Exif\0\0")
      return jpeg.subarray(at + 10, at + 2 + length);
    at += 2 + length;
  }
  return null;
}

/** The boxes in a CR3's own box. */
function canonBlocks(bytes) {
  const inside = (all, kind) => all.filter(([name]) => name === kind).map(([, content]) => content);
  const isCanon = (uuid) =>
    Array.from(uuid.subarray(0, 16), (b) => b.toString(16).padStart(2, "0")).join("") === CANON_BOX;
  return inside(boxes(bytes), "moov")
    .flatMap((moov) => inside(boxes(moov), "uuid"))
    .filter(isCanon)
    .flatMap((uuid) => boxes(uuid.subarray(16)));
}

/** ISO base media boxes from the beginning: kind and content. */
function boxes(bytes) {
  const found = [];
  let at = 0;
  while (at + 8 <= bytes.length) {
    let [length, used] = [view(bytes).getUint32(at), 8];
    if (length === 1 && at + 16 <= bytes.length) [length, used] = [Number(view(bytes).getBigUint64(at + 8)), 16];
    // 0 means to the end of the file; less is broken.
    if (length < used) break;
    found.push([ascii(bytes, at + 4, at + 8), bytes.subarray(at + used, at + length)]);
    at += length;
  }
  return found;
}
