// The page's parts as bytes. A line that has gone quiet is not waited for without end, and what came in a part's place
// is asked for afresh.

import { ScotopicError } from "./errors.js";

/** An answer that begins no sooner is given up: until then it may stand behind others in the browser's own line. */
const ANSWER_MS = 60_000;

/**
 * An answer that has begun is given up where nothing of it comes for so long. The service worker's STALLED_MS is as
 * long, but there anything that comes counts: whichever is over first, the part is asked for once more.
 */
const SILENCE_MS = 20_000;

/** A line that broke or went quiet may well be there again at once, as where a phone changes networks. */
const TRIES = 2;

/**
 * Paths of parts that did not come whole, or in whose place something else came. The browser may have kept that, or
 * hang on the same line for another who waits for it, and is to ask the host anew.
 */
const doubted = new Set();

const asBytes = (_path, bytes) => bytes;

/**
 * A part by its path below the page: what `made(path, bytes)` makes of it. `came(count)` hears of every piece, and of what
 * is fetched again with a count below zero. Throws `download` where it does not come, `foreign` where something else came
 * in its place, from the host itself: what the browser or its store keeps is not believed alone.
 */
export async function part(base, path, made = asBytes, came = () => {}) {
  for (let tries = 1; ; tries++) {
    const anew = doubted.has(path);
    let count = 0;
    const piece = (more) => {
      count += more;
      came(more);
    };
    try {
      const wanted = await made(path, await whole(new URL(path, base), path, piece));
      doubted.delete(path);
      return wanted;
    } catch (error) {
      if (count) came(-count);
      doubted.add(path);
      if (error instanceof RangeError) throw error; // There is no memory for it.
      if (error instanceof ScotopicError) {
        if (error.code !== "foreign" || anew) throw error;
      } else if (tries === TRIES) throw new ScotopicError("download", `${path}: ${error.message}`);
    }
  }
}

async function whole(url, path, piece) {
  const line = new AbortController();
  const quiet = (ms) => () => line.abort(new Error(`nothing came for ${ms / 1000} s`));
  let timer = setTimeout(quiet(ANSWER_MS), ANSWER_MS);
  try {
    const answer = await fetch(url, { signal: line.signal, cache: doubted.has(path) ? "reload" : "default" });
    if (!answer.ok) throw new ScotopicError("download", `${path}: the server answered ${answer.status}`);
    if (/^text\/html/i.test(answer.headers.get("content-type") ?? "")) throw foreign(path, "a web page came");
    const pieces = [];
    const body = answer.body?.getReader();
    if (!body) return new Uint8Array(); // An empty answer need not have one.
    for (;;) {
      clearTimeout(timer);
      timer = setTimeout(quiet(SILENCE_MS), SILENCE_MS);
      const { done, value } = await body.read();
      if (done) return joined(pieces);
      pieces.push(value);
      piece(value.length);
    }
  } catch (error) {
    const { aborted, reason } = line.signal; // Browsers have words of their own for what was given up.
    line.abort(); // Of what is not wanted no more is to come.
    throw aborted ? reason : error;
  } finally {
    clearTimeout(timer);
  }
}

function joined(pieces) {
  const bytes = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** The error for a part that is something else, such as a login page. */
export const foreign = (path, words) => new ScotopicError("foreign", `${path}: ${words}`);

/** What a part of JSON says. Throws `foreign` where it is none. */
export function parsed(path, bytes) {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw foreign(path, error.message);
  }
}

const WASM = [0, 97, 115, 109];

/** The bytes of a part of WebAssembly. Throws `foreign` where they are none. */
export function checkedWasm(path, bytes) {
  if (WASM.some((byte, at) => bytes[at] !== byte)) throw foreign(path, "it is no WebAssembly");
  return bytes;
}

/** The compiled module of a part of WebAssembly. Rejects with `foreign` where it is none. */
export function compiledWasm(path, bytes) {
  return WebAssembly.compile(bytes).catch((error) => {
    throw error instanceof WebAssembly.CompileError ? foreign(path, error.message) : error;
  });
}
