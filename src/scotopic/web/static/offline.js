// The service worker: what makes the page work without a connection, and isolated on any host.

const ANSWER_MS = 3000; // A service worker that does not answer for so long knows nothing of the question.
const AGAIN_MS = 30_000; // What could not be stored is tried again after so long, then after twice that, and so on.

/**
 * Register it. `updated(use)` hears when a newer version waits, and `use()` takes it, if it is `sure()` what that
 * costs. Where another tab took it, this one follows if it is `free()`; else `left(use)` hears, and what is open here
 * stays.
 */
export async function register({ updated, left, free, sure }) {
  if (!("serviceWorker" in navigator) || !window.isSecureContext) return;
  const { serviceWorker } = navigator;
  let claimed = Boolean(serviceWorker.controller);
  let asked = false;
  serviceWorker.addEventListener("controllerchange", () => {
    const first = !claimed; // The page has got a service worker; there was none before.
    claimed = true;
    if (first) return;
    if (asked || free()) location.reload();
    else left(() => location.reload());
  });
  const offer = (registration) => updated(() => {
    if (!sure()) return;
    asked = true;
    if (registration.waiting) registration.waiting.postMessage({ type: "use" });
    else location.reload(); // It has been taken already.
  });
  if (!(await install(offer))) return;
  const registration = await serviceWorker.ready;
  registration.active.postMessage({ type: "fill" });
  if (!serviceWorker.controller) {
    // The first visit: from here on the page is its own host.
    await new Promise((resolve) => {
      serviceWorker.addEventListener("controllerchange", resolve, { once: true });
      setTimeout(resolve, ANSWER_MS);
    });
  }
}

/** Have the browser store the page, again and again until it does; `offer` hears of newer versions. False if it never
 * will. */
async function install(offer) {
  const { serviceWorker } = navigator;
  const followed = new WeakSet();
  let wait = AGAIN_MS;
  let timer = null;

  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(attempt, wait, true);
    wait *= 2;
  };
  const follow = (registration, worker) => {
    if (!worker || followed.has(worker)) return;
    followed.add(worker);
    let installed = false;
    const look = () => {
      if (worker.state === "redundant" && !installed) later(); // A file did not come, or there was no room for it.
      if (worker.state !== "installed") return;
      installed = true;
      if (serviceWorker.controller) offer(registration);
    };
    worker.addEventListener("statechange", look);
    look();
  };
  const attempt = async (again) => {
    clearTimeout(timer);
    timer = null;
    try {
      // The list that the script imports is asked for each time, too: else the browser's copy hides a new version.
      const registration = await serviceWorker.register("sw.js", { updateViaCache: "none" });
      if (!registration) return false; // As some browsers answer in private windows.
      registration.onupdatefound = () => follow(registration, registration.installing);
      follow(registration, registration.waiting);
      follow(registration, registration.installing);
      if (again && registration.active) await registration.update();
    } catch (error) {
      // A host without precache.js, or a browser that forbids it: the page works, only not offline.
      console.info(`scotopic works only with its server: ${error.message}`);
      if (error.name === "SecurityError") return false;
      later();
    }
    return true;
  };
  window.addEventListener("online", () => timer !== null && attempt(true));
  return attempt(false);
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
export const stored = async () => (await ask("whole")) === true;

/** What the service worker answers; undefined where there is none, or none that knows. */
export async function ask(type) {
  try {
    const registration = await navigator.serviceWorker.getRegistration();
    if (registration?.active?.state !== "activated") return undefined;
    const { port1, port2 } = new MessageChannel();
    const answered = new Promise((resolve) => {
      port1.onmessage = ({ data }) => resolve(data);
      setTimeout(resolve, ANSWER_MS);
    });
    registration.active.postMessage({ type }, [port2]);
    return await answered;
  } catch {
    return undefined; // No service workers here, or the browser keeps nothing.
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
