// The service worker: what makes the page work without a connection, and isolated on any host.

/** Register it; `updated(use)` hears when a newer version waits, and `use()` takes it. */
export async function register({ updated }) {
  if (!("serviceWorker" in navigator) || !window.isSecureContext) return;
  let registration;
  try {
    registration = await navigator.serviceWorker.register("sw.js");
  } catch (error) {
    // A host without precache.js, or a browser that forbids it: the page works, only not offline.
    console.info(`scotopic works only with its server: ${error.message}`);
    return;
  }
  const offer = (worker) => {
    if (!worker || !navigator.serviceWorker.controller) return;
    updated(() => worker.postMessage({ type: "use" }));
  };
  offer(registration.waiting);
  registration.addEventListener("updatefound", () => {
    const worker = registration.installing;
    worker?.addEventListener("statechange", () => worker.state === "installed" && offer(worker));
  });
  const had = Boolean(navigator.serviceWorker.controller);
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (had) location.reload();
  });
  await navigator.serviceWorker.ready;
  if (!navigator.serviceWorker.controller) {
    // The first visit: from here on the page is its own host.
    await new Promise((resolve) => {
      navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true });
      setTimeout(resolve, 3000);
    });
  }
}

/** On a host that does not isolate, one reload lets the service worker do it, and the threads come. */
export function isolateOnce(busy) {
  if (window.crossOriginIsolated || !navigator.serviceWorker?.controller || busy) return;
  if (sessionStorage.getItem("scotopic-isolated")) return; // It did not help: never again in this tab.
  sessionStorage.setItem("scotopic-isolated", "1");
  location.reload();
}

/** Whether the page is stored whole. */
export async function stored() {
  if (!("caches" in window)) return false;
  return (await caches.keys()).some((name) => name.startsWith(`scotopic-page ${new URL("./", import.meta.url).href} `));
}
