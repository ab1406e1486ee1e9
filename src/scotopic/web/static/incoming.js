// The ways a file comes in: the button, a drop, a paste, another app's Share, the desktop's "Open with".

// iOS greys out what an accept list does not name, and an all-image list opens Android's photo picker, which
// hands over JPEGs: so there is none. `capture` would have WebKit write a JPEG.

import { dropped } from "./folders.js";

/** Listen to all of them; `took(files)` hears, and `empty()` of folders without a photo. */
export function listen({ input, drop, took, empty }) {
  const take = (files) => {
    const found = [...files].filter((file) => file.size > 0 || file.name);
    if (found.length) took(found);
  };
  input.addEventListener("change", () => {
    take(input.files);
    input.value = ""; // The same file may be chosen again.
  });

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

const SHARED = `scotopic-shared ${new URL("./", import.meta.url).href}`; // sw.js's name for what came by Share.

/** Files that another app shared: the service worker has put them by. */
export async function takeShared() {
  const url = new URL(location.href);
  if (!url.searchParams.has("shared")) return [];
  url.searchParams.delete("shared");
  history.replaceState(null, "", url);
  try {
    return await taken();
  } catch (error) {
    console.info(`nothing shared can be had: ${error.message}`);
    return [];
  }
}

async function taken() {
  const store = await caches.open(SHARED);
  const files = [];
  for (const request of await store.keys()) {
    const answer = await store.match(request);
    const name = decodeURIComponent(answer.headers.get("x-name") ?? "shared.dng");
    files.push(new File([await answer.blob()], name, { type: answer.headers.get("content-type") ?? "" }));
  }
  await caches.delete(SHARED);
  return files;
}
