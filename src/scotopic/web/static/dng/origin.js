/** What a DNG says of its camera and lens that still holds of the light enhanced from it.
 *
 * Mirrors `scotopic.dng.origin`. */

import { DNG_VERSION } from "../identify.js";
import { allPages, isTiff, openTiff } from "../tiff.js";
import { warpedAsGreen, withoutLeadingGains } from "./opcodes.js";
import { ACTIVE_AREA, OPCODE_LIST_3 } from "./tags.js";

const UNIQUE_CAMERA_MODEL = 50708;
const COLOR_MATRIX_1 = 50721;

/** The camera's colour: it belongs to the sensor and is the same before and after enhancing. Not among them:
 * ProfileGainTableMap, which brightens parts of one dark picture. */
const COLOUR = [
  COLOR_MATRIX_1,
  50722, // ColorMatrix2
  50723, // CameraCalibration1, CameraCalibration2
  50724,
  50727, // AnalogBalance
  50778, // CalibrationIlluminant1, CalibrationIlluminant2
  50779,
  50931, // CameraCalibrationSignature
  50932, // ProfileCalibrationSignature
  50936, // ProfileName, ProfileHueSatMapDims, ...Data1, ...Data2, ProfileToneCurve
  50937,
  50938,
  50939,
  50940,
  50941, // ProfileEmbedPolicy, ProfileCopyright
  50942,
  50964, // ForwardMatrix1, ForwardMatrix2
  50965,
  50981, // ProfileLookTableDims, ...Data
  50982,
  51107, // ProfileHueSatMapEncoding, ProfileLookTableEncoding
  51108,
  51110, // DefaultBlackRender
];

/** Of files that are no DNG, and of directories beyond reading. */
export const NO_ORIGIN = { camera: "", tags: new Map(), lens: null };

/** { camera, tags, lens }: what is carried over from a DNG.
 *
 * `tags` describe the camera's colour, by number as directories are written; `lens` is { opcodes, height, width },
 * OpcodeList3 without the gain maps it begins with, which enhancing has applied, and the frame that it is for; null
 * where there is none. OpcodeList1 and OpcodeList2 stay behind, as they mend and scale the mosaic, which is gone;
 * BaselineExposure and its offset, as the amplification is in their place. */
export function originOf(bytes) {
  if (!isTiff(bytes)) return NO_ORIGIN;
  try {
    const tiff = openTiff(bytes);
    const [first] = tiff.pages;
    if (!first?.has(DNG_VERSION)) return NO_ORIGIN;
    const carried = first.has(COLOR_MATRIX_1) ? COLOUR.filter((code) => first.has(code)) : [];
    return {
      camera: first.text(UNIQUE_CAMERA_MODEL),
      tags: new Map(carried.map((code) => [code, first.value(code)])),
      lens: lensOf(allPages(tiff)),
    };
  } catch {
    // The light is worth more than its labels: whatever a broken directory does, go on without.
    return NO_ORIGIN;
  }
}

/** The lens of a picture of this size, some of whose colours may lie `uponGreen` already; null where the opcodes are for
 * another, since their centres would be off. */
export function lensFor({ lens }, height, width, uponGreen) {
  if (lens?.height !== height || lens.width !== width) return null;
  return warpedAsGreen(lens.opcodes, uponGreen);
}

function lensOf(pages) {
  const page = pages.find((one) => one.has(OPCODE_LIST_3));
  if (!page) return null;
  const whole = [0, 0, page.number(257, 0), page.number(256, 0)];
  const [top, left, bottom, right] = page.numbers(ACTIVE_AREA) ?? whole;
  try {
    const opcodes = withoutLeadingGains(page.bytes(OPCODE_LIST_3));
    return opcodes && { opcodes, height: bottom - top, width: right - left };
  } catch {
    return null;
  }
}
