// Keeps a phone's screen on while it works: a sleeping page stands still.

let lock = null;

/** Hold the screen awake, or no longer. Where the browser has no such thing, nothing happens. */
export async function keepAwake(wanted) {
  if (!wanted) {
    lock?.release().catch(() => {});
    lock = null;
  } else if (!lock && navigator.wakeLock && document.visibilityState === "visible") {
    lock = { release: async () => {} }; // Asked for: not twice.
    try {
      lock = await navigator.wakeLock.request("screen");
      lock.addEventListener("release", () => {
        lock = null;
      });
    } catch {
      lock = null; // Battery saver says no: the work goes on while the screen is on.
    }
  }
}
