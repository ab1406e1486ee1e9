// Says so where a script of the page does not come, as then no button of it works. A classic script, and the first
// one: it has to run without the modules. What merely takes long raises no error, and is waited for.

{
  const SOON_MS = 10_000; // An error in a script that runs may be one that the page survives: then it is ready soon.
  const page = document.documentElement;

  const show = (broken) => {
    document.getElementById("pick").hidden = broken;
    document.getElementById("broken").hidden = !broken;
  };
  const tell = () => {
    if (page.dataset.ready) return;
    show(true);
    document.getElementById("broken-reload").onclick = () => location.reload();
    // What did not come was none that the page needs, where it gets ready all the same.
    new MutationObserver(() => show(false)).observe(page, { attributeFilter: ["data-ready"] });
  };
  const whenRead = () => {
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", tell);
    else tell();
  };
  // Hosts and extensions put in scripts of their own, which the page's policy forbids: those are not missed.
  const own = ({ src }) => src.startsWith(new URL("./", document.baseURI).href);
  window.addEventListener("error", ({ target, error }) => {
    if (target instanceof HTMLScriptElement) own(target) && whenRead();
    else if (error) setTimeout(whenRead, SOON_MS);
  }, { capture: true }); // Of scripts that do not come it does not bubble.
}
