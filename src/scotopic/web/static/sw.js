// The service worker. A classic script: every browser that has service workers runs it, and a change of
// precache.js, which names every file with its hash, counts as a change of this one.

importScripts("precache.js");

// A host may hold several such pages: each keeps to stores of its own.
const SCOPE = self.registration.scope;
const PAGE = `scotopic-page ${SCOPE} `;
const CURRENT = PAGE + self.PRECACHE.version;
const LATER = `scotopic-later ${SCOPE}`; // Large files that only some devices need (WebGPU), kept when first used.
const SHARED = `scotopic-shared ${SCOPE}`; // Files that another app shared, until the page takes them.

const hashed = (rows) => new Map(rows.map(([path, hash]) => [new URL(path, SCOPE).href, hash]));
const FIRST = hashed(self.PRECACHE.files);
const LARGE = hashed(self.PRECACHE.later);
const HASHES = new Map([...FIRST, ...LARGE]);

// Where not a byte of anything comes for so long, the line is dead. The page's own patience, SILENCE_MS in parts.js, is
// as long and counts one part alone.
const STALLED_MS = 20_000;
let heard = 0; // When the last one came.
let held = []; // Shared files that found no room in the store: there as long as this worker is.

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("message", (event) => {
  const { type } = event.data ?? {};
  const [port] = event.ports;
  if (type === "use") self.skipWaiting();
  if (type === "fill") event.waitUntil(fillUp());
  if (type === "whole") event.waitUntil(lacking().then((urls) => port.postMessage(urls.length === 0)));
  if (type === "shared") port.postMessage(held.splice(0));
});

/** What the store lacks of the list: browsers may have thrown some away. */
async function lacking() {
  const kept = new Set((await (await caches.open(CURRENT)).keys()).map((request) => request.url));
  return [...FIRST.keys()].filter((url) => !kept.has(url));
}

async function fillUp() {
  const store = await caches.open(CURRENT);
  await Promise.allSettled((await lacking()).map((url) => put(url, [store])));
}

/** Fetch what changed, and take over from the version before, or from an attempt that broke off, what did not. */
async function install() {
  const older = (await caches.keys()).filter((name) => name.startsWith(PAGE) && name !== CURRENT);
  const stores = await Promise.all([CURRENT, ...older].map((name) => caches.open(name)));
  // All are waited for: what has come by then need not come again.
  const ends = await Promise.allSettled([...FIRST.keys()].map((url) => put(url, stores)));
  const failed = ends.find(({ status }) => status === "rejected");
  if (failed) throw failed.reason;
}

/** See to it that the first of the stores has a file of the list. */
async function put(url, stores) {
  const [store] = stores;
  for (const from of stores) {
    const kept = await from.match(url);
    const sound = kept && (await checked(url, kept));
    if (sound) return from === store ? undefined : store.put(url, sound);
  }
  // The second time past all that keeps copies on the way.
  for (const cache of ["no-cache", "reload"]) {
    const answer = await patient(url, { cache });
    if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
    const sound = await checked(url, answer);
    if (sound) return store.put(url, sound);
  }
  throw new Error(`${url}: not the file that the list has by this name`);
}

/** An answer to be kept, or null where it is not the list's file: a hotel's page to log in is an answer, too. */
async function checked(url, answer) {
  const bytes = await answer.arrayBuffer();
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const digits = [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (!digits.startsWith(HASHES.get(url))) return null;
  const headers = new Headers(answer.headers);
  for (const name of ["content-encoding", "content-length", "transfer-encoding"]) headers.delete(name);
  return new Response(bytes, { headers });
}

/** As fetch, but given up once the line is dead. What waits while other files come is waited for. */
async function patient(request, options = {}) {
  const stop = new AbortController();
  request.signal?.addEventListener("abort", () => stop.abort());
  const answer = await unlessDead(stop, fetch(request, { ...options, signal: stop.signal }));
  if (!answer.body) return answer;
  const reader = answer.body.getReader();
  const body = new ReadableStream({
    async pull(into) {
      const { done, value } = await unlessDead(stop, reader.read());
      if (done) into.close();
      else into.enqueue(value);
    },
    cancel: (why) => reader.cancel(why),
  });
  return new Response(body, { status: answer.status, statusText: answer.statusText, headers: answer.headers });
}

async function unlessDead(stop, coming) {
  const began = Date.now();
  let timer;
  const look = () => {
    const left = Math.max(began, heard) + STALLED_MS - Date.now();
    if (left > 0) timer = setTimeout(look, left);
    else stop.abort();
  };
  look();
  try {
    const came = await coming;
    heard = Date.now();
    return came;
  } finally {
    clearTimeout(timer);
  }
}

async function activate() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(PAGE) && name !== CURRENT).map((name) => caches.delete(name)));
  await self.clients.claim();
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (url.origin !== location.origin) return;
  const path = url.href.startsWith(SCOPE) ? url.href.slice(SCOPE.length) : null;
  if (path === "api/status") event.respondWith(fetch(request).catch(() => new Response(null, { status: 204 })));
  if (path === null || path.startsWith("api/")) return;
  if (request.method === "POST" && url.pathname.endsWith("/share-target")) event.respondWith(takeShared(request));
  else if (request.method === "GET") event.respondWith(answer(event, url));
});

/** From the store, or from the host; isolated either way. */
async function answer(event, url) {
  const { request } = event;
  const bare = url.origin + url.pathname;
  const named = request.mode === "navigate" && !HASHES.has(bare) ? SCOPE : bare;
  // What else the host has there may be silent for as long as it likes, as streams of events are.
  if (!HASHES.has(named)) return isolated(await fetch(request));
  const [name, key] = LARGE.has(named) ? [LATER, `${named}?${LARGE.get(named)}`] : [CURRENT, named];
  const store = await caches.open(name);
  const kept = await store.match(key);
  // The page asks so for what broke off, or was something else (parts.js): what is kept is looked at then.
  const doubted = request.cache === "reload" && request.mode !== "navigate";
  const given = kept && doubted ? await checked(named, kept) : kept;
  if (given) return isolated(given);
  const fresh = await patient(request);
  // Where it cannot be kept, for want of room, it serves all the same.
  if (fresh.status === 200) event.waitUntil(keep(store, named, key, fresh.clone()).catch(() => {}));
  return isolated(fresh);
}

/** Put into the store what came, if it is the list's file, and of a large one no other version beside it. */
async function keep(store, named, key, came) {
  const sound = await checked(named, came);
  if (!sound) return;
  if (LARGE.has(named)) {
    for (const { url } of await store.keys()) if (url.startsWith(`${named}?`)) await store.delete(url);
  }
  await store.put(key, sound);
}

/** Threads need these headers, and not every host sends them. */
function isolated(response) {
  if (response.status === 0 || response.type === "opaque") return response;
  const headers = new Headers(response.headers);
  headers.set("cross-origin-opener-policy", "same-origin");
  headers.set("cross-origin-embedder-policy", "require-corp");
  headers.set("cross-origin-resource-policy", "same-origin");
  const bodiless = [101, 204, 205, 304].includes(response.status);
  return new Response(bodiless ? null : response.body, { status: response.status, statusText: response.statusText, headers });
}

/** Put by what another app shared, and open the page, which takes it; its address says how many files came. */
async function takeShared(request) {
  let files;
  try {
    // As incoming.js has it: a file without bytes is one, and a field in which nothing was chosen has no name.
    const values = [...(await request.formData()).values()];
    files = values.filter((value) => value instanceof File && (value.size > 0 || value.name));
  } catch {
    return Response.redirect(`${SCOPE}?shared=failed`, 303);
  }
  const share = `${SCOPE}shared/${crypto.randomUUID()}/`; // Earlier ones may still wait to be taken.
  const store = await caches.open(SHARED).catch(() => null);
  const put = async (file, at) => store.put(share + at, new Response(file, {
    headers: { "content-type": file.type || "application/octet-stream", "x-name": encodeURIComponent(file.name) },
  }));
  const ends = await Promise.allSettled(files.map(put));
  if (ends.some(({ status }) => status === "rejected")) {
    // No room in the store: they are handed over from here.
    await Promise.allSettled(files.map(async (_, at) => store.delete(share + at)));
    held.push(...files);
  }
  return Response.redirect(`${SCOPE}?shared=${files.length}`, 303);
}
