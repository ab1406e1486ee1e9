// The service worker. A classic script: every browser that has service workers runs it, and a change of
// precache.js, which names every file with its hash, counts as a change of this one.

importScripts("precache.js");

// A host may hold several such pages: each keeps to stores of its own.
const SCOPE = self.registration.scope;
const PAGE = `scotopic-page ${SCOPE} `;
const CURRENT = PAGE + self.PRECACHE.version;
const LATER = `scotopic-later ${SCOPE}`; // Large files that only some devices need (WebGPU), kept when first used.
const SHARED = `scotopic-shared ${SCOPE}`; // Files that another app shared, until the page takes them.

const HASHES = new Map(self.PRECACHE.files.map(([path, hash]) => [new URL(path, SCOPE).href, hash]));

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("message", (event) => {
  if (event.data?.type === "use") self.skipWaiting();
  if (event.data?.type === "whole") event.waitUntil(whole().then((all) => event.ports[0].postMessage(all)));
});

/** Whether the store has every file of the list: browsers may have thrown some away. */
async function whole() {
  if (!(await caches.has(CURRENT))) return false;
  const kept = new Set((await (await caches.open(CURRENT)).keys()).map((request) => request.url));
  return [...HASHES.keys()].every((url) => kept.has(url));
}

/** Fetch what changed, and take over from the version before what did not. */
async function install() {
  const store = await caches.open(CURRENT);
  const older = await Promise.all((await caches.keys()).filter((name) => name.startsWith(PAGE) && name !== CURRENT).map((name) => caches.open(name)));
  await Promise.all([...HASHES].map(async ([url, hash]) => {
    for (const old of older) {
      const kept = await old.match(url);
      if (kept?.headers.get("x-hash") === hash) return store.put(url, kept);
    }
    const answer = await fetch(url, { cache: "no-cache" });
    if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
    const headers = new Headers(answer.headers);
    headers.set("x-hash", hash);
    for (const name of ["content-encoding", "content-length", "transfer-encoding"]) headers.delete(name);
    await store.put(url, new Response(await answer.blob(), { headers }));
  }));
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
  else if (request.method === "GET") event.respondWith(answer(request, url));
});

/** From the store, or from the host; isolated either way. */
async function answer(request, url) {
  const bare = url.origin + url.pathname;
  const named = request.mode === "navigate" && !HASHES.has(bare) ? SCOPE : bare;
  const store = await caches.open(CURRENT);
  const kept = HASHES.has(named) ? await store.match(named) : null;
  if (kept) return isolated(kept);
  if (/\/vendor\/|\/models\//.test(url.pathname)) return isolated(await later(request, bare));
  return isolated(await fetch(request));
}

async function later(request, bare) {
  const store = await caches.open(LATER);
  const key = `${bare}?${self.PRECACHE.version}`;
  const kept = await store.match(key);
  if (kept) return kept;
  const fresh = await fetch(request);
  if (fresh.status === 200) {
    for (const old of await store.keys()) if (old.url.startsWith(`${bare}?`)) await store.delete(old);
    // Where there is no room for it, what was fetched serves all the same.
    await store.put(key, fresh.clone()).catch(() => {});
  }
  return fresh;
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

/** Put by what another app shared, and open the page, which takes it. */
async function takeShared(request) {
  const form = await request.formData();
  const files = [...form.values()].filter((value) => value instanceof File && value.size > 0);
  const store = await caches.open(SHARED);
  await Promise.all(files.map((file, at) => store.put(`${SCOPE}shared/${at}`, new Response(file, {
    headers: { "content-type": file.type || "application/octet-stream", "x-name": encodeURIComponent(file.name) },
  }))));
  return Response.redirect(`${SCOPE}?shared=${files.length}`, 303);
}
