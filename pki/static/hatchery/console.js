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

// Issuing by hand. A button whose answer is a download works once: a second press would abort the first.
(() => {
  "use strict";
  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!button || !button.dataset.once) return;
    if (button.dataset.pressed) {
      event.preventDefault();
      return;
    }
    button.dataset.pressed = "yes";
    // A disabled button is not sent with its form.
    setTimeout(() => { button.disabled = true; }, 0);
    document.getElementById(button.dataset.once)?.removeAttribute("hidden");
  });

  // Names that begin as what was typed: <div data-suggests="url of Django's autocomplete"><input></div>
  const suggest = (frame) => {
    const input = frame.querySelector("input");
    const list = document.createElement("datalist");
    list.id = `${input.id}-names`;
    frame.append(list);
    input.setAttribute("list", list.id);
    let waiting;
    const ask = async () => {
      const answer = await fetch(`${frame.dataset.suggests}&term=${encodeURIComponent(input.value)}`);
      if (!answer.ok) return;
      const { results } = await answer.json();
      list.replaceChildren(...results.slice(0, 20).map(({ text }) => new Option(text, text)));
    };
    input.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => ask().catch(() => {}), 200);
    });
  };

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-suggests]").forEach(suggest);
    document.querySelectorAll("[data-later]").forEach((element) => { element.hidden = true; });
  });
})();

// htmx would add a style element, which the Content-Security-Policy forbids; console.css has its rules.
if (window.htmx) {
  window.htmx.config.includeIndicatorStyles = false;
  window.htmx.config.allowEval = false;
}
