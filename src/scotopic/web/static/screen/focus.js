// Where the keyboard is: never nowhere, though what had the focus may be hidden or disabled under it.

/** Whether it has lost the focus or is about to. */
const lost = (element) =>
  element.matches(":disabled") || !element.getClientRects().length
  || getComputedStyle(element).visibility !== "visible";

/**
 * A function to call after a change of the page: once all that belongs to the change is done, a focus that was lost
 * goes back, or to the element that `refuge()` names where there is no way back.
 */
export function keeping(refuge) {
  let asked = false;
  let fallen = null;
  const keep = () => {
    if (asked) return;
    asked = true;
    queueMicrotask(() => {
      const { activeElement, body } = document;
      const had = activeElement === body ? fallen : activeElement;
      asked = false;
      fallen = null;
      if (!had) return;
      if (lost(had)) refuge().focus();
      else if (activeElement === body) had.focus();
    });
  };
  // Some browsers take the focus away when they draw next, Chromium as soon as anything is measured.
  document.addEventListener("focusout", ({ target, relatedTarget }) => {
    if (relatedTarget || !lost(target)) return;
    fallen = target;
    keep();
  });
  return keep;
}
