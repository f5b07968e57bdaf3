// Draws the diagrams, in the colours of the page: again when the reader changes these.
(() => {
  const diagrams = [...document.querySelectorAll("pre.mermaid")].map((block) => ({ block, text: block.textContent }));
  if (diagrams.length === 0) return;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => {
    const chosen = document.body.dataset.theme;
    return chosen === "dark" || (chosen !== "light" && dark.matches);
  };
  let shown;
  const draw = async () => {
    if (shown === isDark()) return;
    shown = isDark();
    mermaid.initialize({ startOnLoad: false, securityLevel: "loose", theme: shown ? "dark" : "neutral" });
    for (const [number, { block, text }] of diagrams.entries()) {
      const { svg } = await mermaid.render(`diagram-${number}`, text);
      block.innerHTML = svg;
      block.dataset.drawn = "yes";
    }
  };
  let last = Promise.resolve();
  const drawNext = () => { last = last.then(draw); };
  new MutationObserver(drawNext).observe(document.body, { attributes: true, attributeFilter: ["data-theme"] });
  dark.addEventListener("change", drawNext);
  drawNext();
})();
