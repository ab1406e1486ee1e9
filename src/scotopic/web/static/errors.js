/** Everything that goes wrong on purpose: a code for the page's words, and what was found in words of our own. */

/** `code` is one of the worker protocol's: jpeg, too-large, too-small, not-raw, truncated, unsupported, not-here,
 * enhanced, memory, engine, download, foreign, unreadable, lacking, forbidden, internal.
 * `facts` holds what the page's sentence needs (numbers, names of kinds). */
export class ScotopicError extends Error {
  constructor(code, message, facts = {}) {
    super(message);
    this.name = "ScotopicError";
    this.code = code;
    this.facts = facts;
  }
}

/** A developed picture, a video, a text, an archive. `code` jpeg for what phones hand over instead of RAW. */
export const notRaw = (kind, message, code = "not-raw") => new ScotopicError(code, message, { kind });

/** A RAW file, but cut short or broken. */
export const damaged = (message, facts = {}) => new ScotopicError("truncated", message, facts);

/** A picture smaller than any camera's: a thumbnail, or what damage left. */
export const tooSmall = (width, height) =>
  new ScotopicError("too-small", `its picture is only ${width}x${height} pixels`, { width, height });

/** A RAW file that the command line reads and the page does not; `kind` in a word or two. */
export const notHere = (kind, message) => new ScotopicError("not-here", message, { kind });

/** A RAW file of a kind that scotopic enhances nowhere. */
export const unsupported = (kind, message) => new ScotopicError("unsupported", message, { kind });
