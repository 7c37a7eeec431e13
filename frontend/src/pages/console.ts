// What every page has: details beside a list instead of on a page of their own, keys, texts to copy, and forms that
// are not sent twice. Without it every link and form does the same, a page at a time.

import { openPanel } from "../panel";
import { sendWithin, stayWithin } from "../within";

const panel = document.querySelector<HTMLDialogElement>("#panel");

document.addEventListener("click", (event) => {
  if (!(event.target instanceof Element)) return;
  const link = event.target.closest<HTMLAnchorElement>("a[data-panel]");
  const plain = !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) && event.button === 0;
  if (link && panel && plain) {
    event.preventDefault();
    void openPanel(panel, link);
    return;
  }
  const copy = event.target.closest<HTMLElement>("[data-copy]");
  if (copy) void copyText(copy);
});

async function copyText(button: HTMLElement): Promise<void> {
  const text = document.querySelector(`#${button.dataset.copy}`)?.textContent?.trim() ?? "";
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Over plain HTTP there is no clipboard: mark the text, and the keys of the system copy it.
    const range = document.createRange();
    range.selectNodeContents(document.querySelector(`#${button.dataset.copy}`)!);
    getSelection()?.removeAllRanges();
    getSelection()?.addRange(range);
    return;
  }
  button.textContent = document.body.dataset.copied ?? label;
  setTimeout(() => (button.textContent = label), 1600);
}

// A click anywhere in a row opens what its link opens; text can still be marked.
document.addEventListener("click", (event) => {
  if (!(event.target instanceof Element) || getSelection()?.toString()) return;
  if (event.target.closest("a, button, input, label, summary, form")) return;
  event.target.closest("[data-rows] tbody tr, .card")?.querySelector<HTMLAnchorElement>("a[data-panel]")?.click();
});

// Help: without script its link leads to the page of all help.
document.addEventListener("click", (event) => {
  if (!(event.target instanceof Element)) return;
  const help = document.querySelector<HTMLDialogElement>("#help");
  if (event.target.closest("[data-help]") && help && event.button === 0 && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    help.showModal();
  } else if (event.target === help || event.target.closest("#help > .close")) {
    help?.close();
  }
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.target instanceof Element)) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const help = document.querySelector<HTMLDialogElement>("#help");
  if (event.key === "?" && help) {
    event.preventDefault();
    if (help.open) help.close();
    else help.showModal();
  } else if (help?.open) {
    return;
  } else if (event.key === "/") {
    const search = document.querySelector<HTMLInputElement>("[data-search]");
    if (search) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  } else if (event.key === "j" || event.key === "k") {
    move(event.key === "j" ? 1 : -1);
  }
});

/** Go to the next or the previous row; with the panel open, show that one. */
function move(by: 1 | -1): void {
  const links = [...document.querySelectorAll<HTMLAnchorElement>("[data-rows] a[data-panel], .card a[data-panel]")];
  const shown = panel?.open ? panel.dataset.href : undefined;
  const at = links.findIndex((link) => (shown ? link.href === shown : link === document.activeElement));
  const next = links[at === -1 ? (by === 1 ? 0 : links.length - 1) : at + by];
  if (!next) return;
  if (panel?.open) void openPanel(panel, next);
  else next.focus();
}

// An image that is none, or that has been erased, leaves its place empty.
document.addEventListener(
  "error",
  (event) => {
    if (event.target instanceof HTMLImageElement) leaveEmpty(event.target);
  },
  true,
);

function leaveEmpty(image: HTMLImageElement): void {
  const place = document.createElement("span");
  place.className = `${image.className} blank`;
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", image.alt || "–");
  image.replaceWith(place);
}

// A form that is unfolded begins with its note.
document.addEventListener(
  "toggle",
  (event) => {
    const fold = event.target;
    if (fold instanceof HTMLDetailsElement && fold.open && fold.matches(".fold")) fold.querySelector("textarea")?.focus();
  },
  true,
);

// A form is sent once; a confirmation that has to be typed unlocks its button.
document.addEventListener("submit", (event) => {
  if (!(event.target instanceof HTMLFormElement) || event.target.dataset.download !== undefined) return;
  const form = event.target;
  if (!event.defaultPrevented && sendWithin(form, event.submitter)) event.preventDefault();
  setTimeout(() => form.querySelectorAll("button").forEach((button) => (button.disabled = true)));
});

addEventListener("pageshow", () => {
  document.querySelectorAll<HTMLButtonElement>("button[disabled]").forEach((button) => {
    if (!button.form?.querySelector("[data-confirm]")) button.disabled = false;
  });
});

/** A list as text, whichever of the two encodings a spreadsheet wrote it in. */
async function textOf(file: File): Promise<string> {
  const bytes = await file.arrayBuffer();
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("gb18030").decode(bytes);
  }
}

/** Show a part of the page again while something goes on: how far it is. */
function again(part: HTMLElement): void {
  setTimeout(async () => {
    if (!part.isConnected) return; // another page took its place
    if (document.hidden) return again(part);
    try {
      const answer = await fetch(location.href, { headers: { "x-part": "main" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = answer.ok ? page.querySelector<HTMLElement>(`#${part.id}`) : null;
      if (!fresh) return location.reload(); // the session is over: log in and come back
      const ticked = new Set([...part.querySelectorAll<HTMLInputElement>(":checked")].map((box) => box.value));
      const focused = part.contains(document.activeElement) ? (document.activeElement as HTMLInputElement).value : "";
      part.replaceWith(fresh);
      tickAll(fresh);
      fresh.querySelectorAll<HTMLInputElement>("input[name]").forEach((box) => {
        box.checked = ticked.has(box.value);
        if (focused && box.value === focused) box.focus({ preventScroll: true });
      });
      if (fresh.dataset.again) again(fresh);
    } catch {
      again(part);
    }
  }, Number(part.dataset.again));
}

/** What has to be done to the content of a page once it is there. */
function prepare(main: ParentNode): void {
  document.querySelector(".side nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  main.querySelector(".month .now")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  main.querySelectorAll<HTMLImageElement>("img.face").forEach((image) => {
    if (image.complete && !image.naturalWidth && image.currentSrc) leaveEmpty(image);
  });
  main.querySelectorAll<HTMLInputElement>("[data-confirm]").forEach((input) => {
    const button = input.form?.querySelector<HTMLButtonElement>("button");
    const check = (): void => {
      if (button) button.disabled = input.value.trim() !== input.dataset.confirm;
    };
    input.addEventListener("input", check);
    check();
  });
  main.querySelectorAll<HTMLInputElement>("[data-into]").forEach((input) => {
    input.closest("label")!.hidden = false;
    input.addEventListener("change", async () => {
      const text = document.querySelector<HTMLTextAreaElement>(`#${input.dataset.into}`);
      if (text && input.files?.[0]) text.value = await textOf(input.files[0]);
    });
  });
  main.querySelectorAll<HTMLElement>("[data-again]").forEach(again);
  tickAll(main);
}

/** A box in the head of a list ticks those below it. */
function tickAll(within: ParentNode): void {
  within.querySelectorAll<HTMLInputElement>("[data-tick-all]").forEach((all) => {
    all.addEventListener("change", () => {
      document
        .querySelectorAll<HTMLInputElement>(`input[name="${all.dataset.tickAll}"]`)
        .forEach((box) => (box.checked = all.checked));
    });
  });
}

prepare(document);
stayWithin(prepare);
