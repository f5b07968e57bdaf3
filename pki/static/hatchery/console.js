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
  document.addEventListener("shown", (event) => localize(event.detail));
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

// What a page holds and no server keeps: <button type="button" data-downloads="id" data-file="tokens.csv">
(() => {
  "use strict";
  const download = (button) => {
    const source = document.getElementById(button.dataset.downloads);
    if (!source) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([source.textContent], { type: "text/csv" }));
    link.download = button.dataset.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  // A form whose work takes a while, <form data-streams>: its answer comes as lines of JSON that say how
  // far it is, and at last what came of it. Its other buttons send it as usual.
  const panel = (of) => {
    const made = document.createElement("section");
    made.className = "panel working";
    made.innerHTML = '<h2></h2><div class="panel-body"><progress></progress><p role="status"></p></div>';
    made.querySelector("h2").textContent = "Registering";
    made.querySelector("progress").setAttribute("aria-label", "Registering");
    of.replaceWith(made);
    return made;
  };
  const show = (shown, step) => {
    if (step.html !== undefined) {
      shown.innerHTML = step.html;
      shown.className = "";
      shown.querySelector("[tabindex]")?.focus();
      return;
    }
    shown.querySelector("progress").max = step.of;
    shown.querySelector("progress").value = step.done;
    shown.querySelector("[role=status]").textContent =
      step.done < step.of ? `${step.doing}: ${step.done} of ${step.of}` : `${step.doing}: nearly done`;
  };
  const stream = async (form, button) => {
    const fields = new FormData(form, button);
    const shown = panel(form);
    const leaving = (event) => event.preventDefault();
    window.addEventListener("beforeunload", leaving);
    let ended = false;
    try {
      const answer = await fetch(location.href, { method: "POST", body: fields, headers: { Accept: "application/x-ndjson" } });
      if (!answer.ok || !answer.headers.get("Content-Type").startsWith("application/x-ndjson")) {
        throw new Error("no stream");
      }
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        const lines = (rest + part.value).split("\n");
        rest = lines.pop();
        for (const line of lines) {
          const step = JSON.parse(line);
          ended ||= step.html !== undefined;
          show(shown, step);
        }
      }
    } catch {
      // Told below.
    }
    window.removeEventListener("beforeunload", leaving);
    if (ended) {
      document.dispatchEvent(new CustomEvent("shown", { detail: shown }));
      return;
    }
    shown.replaceWith(form);
    const notice = document.createElement("div");
    notice.className = "notice notice-danger";
    notice.setAttribute("role", "alert");
    notice.textContent = "The answer was lost, or a line is wrong by now. Press Preview: it tells what is registered.";
    form.prepend(notice);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-downloads]");
    if (button) download(button);
  });
  document.addEventListener("submit", (event) => {
    if (event.target.matches("[data-streams]") && event.submitter?.name === "register") {
      event.preventDefault();
      stream(event.target, event.submitter);
    }
  });
})();

// A page that shows something at work: <p data-refreshes="5"> brings its parts, <section id="…" data-live>,
// up to date so often, in seconds, from the page's own address, until that says no more that it refreshes.
(() => {
  "use strict";
  const PATIENCE = 12; // a server that does not answer is asked that much more seldom
  const latest = new Map();

  const exchange = (fresh) => {
    for (const shown of document.querySelectorAll("[data-live]")) {
      const part = fresh.getElementById(shown.id);
      const html = part ? part.outerHTML : "";
      // What did not change, or is being read out or pressed at this moment, is left alone.
      if (html === latest.get(shown.id) || shown.contains(document.activeElement)) continue;
      latest.set(shown.id, html);
      if (!part) continue;
      const made = document.importNode(part, true);
      shown.replaceWith(made);
      document.dispatchEvent(new CustomEvent("shown", { detail: made }));
    }
  };

  const refresh = (note, seconds) => {
    const again = (times = 1) => setTimeout(ask, seconds * 1000 * times);
    const end = (words) => { note.textContent = words; };
    const ask = async () => {
      if (document.hidden) return again();
      let answer;
      try {
        answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      } catch {
        return again(PATIENCE);
      }
      if (answer.status >= 500) return again(PATIENCE);
      if (!answer.ok || answer.redirected) return end("This is brought up to date no more: load the page again.");
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      exchange(fresh);
      return fresh.querySelector("[data-refreshes]") ? again() : end("");
    };
    again();
  };

  document.addEventListener("DOMContentLoaded", () => {
    const note = document.querySelector("[data-refreshes]");
    if (note) refresh(note, Number(note.dataset.refreshes));
  });
})();
