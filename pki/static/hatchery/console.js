// Moments are written in UTC by the server; here they become the reader's own time, with UTC on hover.
(() => {
  "use strict";
  const two = (number) => String(number).padStart(2, "0");
  const local = (at) =>
    `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;

  const localize = (root) => {
    for (const element of root.querySelectorAll("time[datetime]")) {
      const at = new Date(element.dateTime);
      if (!Number.isNaN(at.getTime())) {
        element.textContent = local(at);
      }
    }
  };

  // A button beside something to copy: <button type="button" data-copies="id">Copy</button>
  const copy = async (button) => {
    const source = document.getElementById(button.dataset.copies);
    if (!source) return;
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select it and press Ctrl-C";
    }
    setTimeout(() => { button.textContent = before; }, 2000);
  };

  document.addEventListener("DOMContentLoaded", () => localize(document));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copies]");
    if (button) copy(button);
  });
})();
