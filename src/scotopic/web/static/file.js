// A chosen file's bytes, where they are a RAW photo's and can be had.

import { ScotopicError } from "./errors.js";
import { checkHead, HEAD } from "./identify.js";

/** Browsers read no more bytes at once. */
const BYTES_MAX = 2 ** 31 - 1;

/** All bytes of a file. Throws unreadable, too-large, and what its first bytes tell, before the rest is read. */
export async function bytesOf(file) {
  checkHead(await readable(file.slice(0, HEAD)));
  if (file.size > BYTES_MAX) {
    const words = `the file has ${(file.size / 1e9).toFixed(1)} GB, and browsers read 2 GB at most`;
    throw new ScotopicError("too-large", words);
  }
  return readable(file);
}

/** Bytes of a file or a part of it. Throws unreadable where it is gone, changed since, or not to be read. */
export async function readable(blob) {
  try {
    return new Uint8Array(await blob.arrayBuffer());
  } catch (error) {
    if (error instanceof DOMException) throw new ScotopicError("unreadable", `it cannot be read (${error.message})`);
    throw error;
  }
}
