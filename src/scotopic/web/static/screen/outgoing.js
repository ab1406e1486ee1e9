// The ways a picture goes out: a download, or another app by the system's Share.

/** Save a blob under a name, where the browser puts downloads. */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Whether this browser shares files with other apps. */
export function canShare() {
  if (!navigator.canShare) return false;
  return navigator.canShare({ files: [new File([""], "a.jpg", { type: "image/jpeg" })] });
}

/** "shared", "closed" by the user, or "late": the press was too long ago and another one is needed. */
export async function share(blob, name) {
  try {
    await navigator.share({ files: [new File([blob], name, { type: blob.type || "image/jpeg" })] });
    return "shared";
  } catch (error) {
    if (error.name === "AbortError") return "closed";
    if (error.name === "NotAllowedError") return "late";
    throw error;
  }
}
