// The panel: a page's detail beside the list that it was opened from.

/** Show what a link leads to. The focus goes into the panel, and back to the link when it is closed. */
export async function openPanel(panel: HTMLDialogElement, link: HTMLAnchorElement): Promise<void> {
  let answer: Response;
  try {
    answer = await fetch(link.href, { headers: { "x-part": "panel" } });
  } catch {
    location.href = link.href; // the browser says best what is the matter
    return;
  }
  if (!answer.ok) {
    location.href = link.href;
    return;
  }
  panel.innerHTML = await answer.text(); // our own server's page; what came from a terminal is escaped there
  const close = document.createElement("button");
  close.className = "button quiet close";
  close.append(icon("M5 5l10 10M15 5 5 15"));
  close.setAttribute("aria-label", panel.dataset.close ?? "");
  close.addEventListener("click", () => panel.close());
  panel.prepend(close);
  panel.dataset.href = link.href;
  panel.scrollTop = 0;
  if (!panel.open) {
    panel.addEventListener("close", () => link.focus({ preventScroll: true }), { once: true });
    panel.addEventListener("click", (event) => {
      if (event.target === panel) panel.close();
    });
    panel.showModal();
  }
  close.focus();
}

function icon(path: string): SVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}
