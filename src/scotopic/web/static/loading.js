// Says so where a script of the page does not come, as then no button of it works. A classic script, and the first
// one: it has to run without the modules. What merely takes long raises no error, and is waited for.

{
  const SOON_MS = 10_000; // An error in a script that runs may be one that the page survives: then it is ready soon.

  const tell = () => {
    if (document.documentElement.dataset.ready) return;
    document.getElementById("pick").hidden = true;
    document.getElementById("broken").hidden = false;
    document.getElementById("broken-reload").onclick = () => location.reload();
  };
  const whenRead = () => {
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", tell);
    else tell();
  };
  window.addEventListener("error", ({ target, error }) => {
    if (target instanceof HTMLScriptElement) whenRead();
    else if (error) setTimeout(whenRead, SOON_MS);
  }, { capture: true }); // Of scripts that do not come it does not bubble.
}
