// The ways a file comes in: the button, a drop, a paste, another app's Share, the desktop's "Open with".

// iOS greys out what an accept list does not name, and an all-image list opens Android's photo picker, which
// hands over JPEGs: so there is none. `capture` would have WebKit write a JPEG.

import { dropped } from "./folders.js";
import { ask } from "../offline.js";

/** Listen to all of them; `took(files)` hears, and `empty()` of folders without a photo. */
export function listen({ input, drop, took, empty }) {
  const take = (files) => {
    const found = [...files].filter((file) => file.size > 0 || file.name);
    if (found.length) took(found);
  };
  const chosen = () => {
    take(input.files);
    input.value = ""; // The same file may be chosen again.
  };
  input.addEventListener("change", chosen);
  if (input.files.length) chosen(); // Before anybody listened.

  let depth = 0;
  const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  window.addEventListener("dragenter", (event) => {
    if (!carriesFiles(event)) return;
    depth += 1;
    drop.hidden = false;
  });
  window.addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    if (!depth) drop.hidden = true;
  });
  window.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  window.addEventListener("drop", async (event) => {
    depth = 0;
    drop.hidden = true;
    if (!carriesFiles(event)) return;
    event.preventDefault();
    const { files, folders } = await dropped(event.dataTransfer);
    if (folders && !files.length) empty();
    else take(files);
  });
  window.addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length) take(event.clipboardData.files);
  });

  // The desktop's "Open with" of the installed page.
  window.launchQueue?.setConsumer(async (launch) => {
    if (!launch.files?.length) return;
    take(await Promise.all(launch.files.map((handle) => handle.getFile())));
  });
}

const SHARED = `scotopic-shared ${new URL("../", import.meta.url).href}`; // sw.js's name for what came by Share.

/** Files that another app shared, which the service worker has put by: `took(files)` hears, `empty()` where it was none,
 * `lost()` where they cannot be had, `unread()` where the browser could not read what it was to hand over. */
export async function takeShared({ took, empty, lost, unread }) {
  const url = new URL(location.href);
  const count = url.searchParams.get("shared");
  if (count === null) return;
  url.searchParams.delete("shared");
  history.replaceState(null, "", url);
  if (count === "0") {
    empty();
    return;
  }
  let files = [];
  try {
    files = await taken();
  } catch (error) {
    console.info(`nothing shared can be had: ${error.message}`);
  }
  // Those for which the store had no room the service worker itself has.
  files.push(...((await ask("shared")) ?? []));
  if (files.length) took(files);
  if (count === "failed") unread();
  else if (!files.length) lost();
}

async function taken() {
  const store = await caches.open(SHARED);
  const files = [];
  const requests = await store.keys();
  for (const request of requests) {
    const answer = await store.match(request);
    if (!answer) continue; // Another tab has taken it.
    const name = decodeURIComponent(answer.headers.get("x-name") ?? "shared.dng");
    files.push(new File([await answer.blob()], name, { type: answer.headers.get("content-type") ?? "" }));
  }
  await Promise.all(requests.map((request) => store.delete(request))); // More may have been shared meanwhile.
  return files;
}
