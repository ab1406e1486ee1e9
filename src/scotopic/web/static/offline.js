// The service worker: what makes the page work without a connection, and isolated on any host.

const ANSWER_MS = 3000; // A service worker that does not answer for so long knows nothing of the question.

/**
 * Register it. `updated(use)` hears when a newer version waits, and `use()` takes it. Where another tab took it,
 * this one follows if it is `free()`; else `left(use)` hears, and what is open here stays.
 */
export async function register({ updated, left, free }) {
  if (!("serviceWorker" in navigator) || !window.isSecureContext) return;
  let registration;
  try {
    registration = await navigator.serviceWorker.register("sw.js");
  } catch (error) {
    // A host without precache.js, or a browser that forbids it: the page works, only not offline.
    console.info(`scotopic works only with its server: ${error.message}`);
    return;
  }
  if (!registration) return; // As some browsers answer in private windows.
  let asked = false;
  const offer = (worker) => {
    if (!worker || !navigator.serviceWorker.controller) return;
    updated(() => {
      asked = true;
      worker.postMessage({ type: "use" });
    });
  };
  offer(registration.waiting);
  registration.addEventListener("updatefound", () => {
    const worker = registration.installing;
    worker?.addEventListener("statechange", () => worker.state === "installed" && offer(worker));
  });
  const had = Boolean(navigator.serviceWorker.controller);
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (!had) return;
    if (asked || free()) location.reload();
    else left(() => location.reload());
  });
  await navigator.serviceWorker.ready;
  if (!navigator.serviceWorker.controller) {
    // The first visit: from here on the page is its own host.
    await new Promise((resolve) => {
      navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true });
      setTimeout(resolve, ANSWER_MS);
    });
  }
}

/** On a host that does not isolate, one reload lets the service worker do it, and the threads come. */
export function isolateOnce(busy) {
  try {
    if (window.crossOriginIsolated || !navigator.serviceWorker?.controller || busy) return;
    if (sessionStorage.getItem("scotopic-isolated")) return; // It did not help: never again in this tab.
    sessionStorage.setItem("scotopic-isolated", "1");
  } catch {
    return; // Where nothing can be kept, nothing would end the reloads.
  }
  location.reload();
}

/** Whether the page is stored whole, and somebody is there to serve it. */
export async function stored() {
  try {
    const registration = await navigator.serviceWorker.getRegistration();
    if (registration?.active?.state !== "activated") return false;
    const { port1, port2 } = new MessageChannel();
    const answered = new Promise((resolve) => {
      port1.onmessage = ({ data }) => resolve(data === true);
      setTimeout(resolve, ANSWER_MS, false);
    });
    registration.active.postMessage({ type: "whole" }, [port2]);
    return await answered;
  } catch {
    return false; // No service workers here, or the browser keeps nothing.
  }
}

const SIGNS = ["pointerdown", "keydown", "click", "input", "dragenter", "paste"];

/** A function that tells whether the user has done anything since; nothing may then take the page away. */
export function begun() {
  let something = false;
  for (const sign of SIGNS) {
    window.addEventListener(sign, () => (something = true), { capture: true, once: true, passive: true });
  }
  return () => something;
}
