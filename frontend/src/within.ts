// What one asks for within a page replaces its content and not the page: another page of a list, a filter, the other
// language, a note on an alarm. The browser keeps styles, scripts and frame, and shows it in half the time.
//
// A form that is refused stays as it is, with the reason above it: what was typed there and in other forms is not lost.
// Where it is refused because another person changed the same meanwhile (412), the page is shown as it is now, with what was typed.
//
// The server does not know: it is asked for a page, and the content is taken out of it. Where anything is not as
// expected the browser goes there by itself, as it does without script. A page with a script of its own (the live page,
// charts) is left alone.

const FORMS = ".filters, .inline, .language, [data-within]";

let ready: (main: HTMLElement) => void = () => undefined;
let shown = location.pathname + location.search;
let turn = 0;
let early: { href: string; answer: Promise<Response> } | undefined;

const ask = (url: string, init: RequestInit = {}): Promise<Response> =>
  fetch(url, { ...init, headers: { "x-part": "main" } });

/** Begin; `whenReplaced` is told the new content, for whatever has to be done to it. */
export function stayWithin(whenReplaced: (main: HTMLElement) => void): void {
  if (document.querySelectorAll("head script[src]").length > 1) return;
  ready = whenReplaced;
  // Until the button is let go, and that is when it is a click, the answer is under way.
  document.addEventListener("pointerdown", (event) => {
    const link = event.pointerType === "mouse" ? target(event) : undefined; // a finger may be about to scroll
    if (!link) return;
    early = { href: link.href, answer: ask(link.href) };
    early.answer.catch(() => undefined); // whoever waits for it is told
  });
  document.addEventListener("click", (event) => {
    const link = target(event);
    if (!link || event.defaultPrevented) return;
    event.preventDefault();
    const pressed = event.detail > 0; // and not a key
    const answer = pressed && early?.href === link.href ? early.answer : ask(link.href);
    void replace(answer, () => (location.href = link.href));
  });
  addEventListener("popstate", () => {
    if (location.pathname + location.search === shown) return; // the way to a place on this page
    void replace(ask(location.href), () => location.reload(), "back");
  });
}

/** Send a form and stay; false where the browser is to send it. */
export function sendWithin(form: HTMLFormElement, pressed: HTMLElement | null): boolean {
  const within = form.matches(FORMS) || Boolean(pressed?.matches(FORMS));
  if (document.querySelectorAll("head script[src]").length > 1 || !within) return false;
  const fields = new URLSearchParams();
  for (const [name, value] of new FormData(form, pressed)) {
    if (typeof value === "string") fields.append(name, value);
  }
  // Not form.action: that may be a field of that name.
  const asked = pressed?.getAttribute("formaction") ?? form.getAttribute("action") ?? "";
  const action = new URL(asked, location.href).href;
  const stay = form.matches("[data-stay]") || Boolean(pressed?.matches("[data-stay]"));
  if (form.getAttribute("method") !== "post" || (form.matches(".filters") && !named(form))) {
    const url = address(action, fields);
    void replace(ask(url), () => (location.href = url));
  } else {
    const browse = (): void => HTMLFormElement.prototype.submit.call(form);
    void replace(ask(action, { method: "POST", body: fields }), browse, stay ? "stay" : "add", form);
  }
  return true;
}

/** Somebody's name stands in it: the server seals that, and says what the address is. */
const named = (form: HTMLFormElement): boolean =>
  [...form.querySelectorAll<HTMLInputElement>("[data-sealed]")].some((one) => one.value.trim());

function address(action: string, fields: URLSearchParams): string {
  const asked = new URLSearchParams([...fields].filter(([, value]) => value.trim()));
  return action.split("?")[0] + (asked.size ? `?${asked}` : "");
}

/** The link within this page that is meant, by a plain click. */
function target(event: MouseEvent): HTMLAnchorElement | undefined {
  if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return undefined;
  const link = event.target instanceof Element ? event.target.closest<HTMLAnchorElement>("main a[href]") : null;
  if (!link || link.matches("[data-panel], [download], [target]")) return undefined;
  return link.origin === location.origin && link.pathname === location.pathname && !link.hash ? link : undefined;
}

/** `add` goes on to an address, `back` shows one that was there, `stay` leaves the reader at the same place of it. */
type How = "add" | "back" | "stay";

async function replace(
  asked: Promise<Response>,
  otherwise: () => void,
  how: How = "add",
  sent?: HTMLFormElement,
): Promise<void> {
  const mine = ++turn;
  const again = counterpart(); // now: a form's buttons are about to be disabled
  const nth = how === "stay" ? stays(document).indexOf(document.activeElement as HTMLElement) : -1;
  early = undefined;
  document.querySelector("#main")?.setAttribute("aria-busy", "true");
  let answer: Response;
  let page: Document;
  try {
    answer = await asked;
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    return otherwise();
  }
  if (mine !== turn) return; // something else has been asked for meanwhile
  const url = new URL(answer.url);
  const [before, main] = [document, page].map((each) => each.querySelector<HTMLElement>("#main"));
  const reason = page.querySelector<HTMLElement>("#refused");
  if (sent && reason && !answer.ok) {
    if (answer.status !== 412 || !before || !main) return refuse(sent, reason);
    before.replaceWith(main);
    ready(main);
    return point(reason.nextElementSibling ?? main, reason);
  }
  const [frame, side] = [document, page].map((each) => each.querySelector<HTMLElement>(".side"));
  if (!before || !main || !frame || !side) return otherwise();
  if (url.pathname !== location.pathname) return void (location.href = answer.url);
  const path = url.pathname + url.search;
  if (how === "stay") history.replaceState(null, "", path);
  else if (how === "add" && path !== shown) history.pushState(null, "", path);
  shown = path;
  document.title = page.title;
  document.documentElement.lang = page.documentElement.lang;
  Object.assign(document.body.dataset, page.body.dataset);
  document.querySelector<HTMLDialogElement>("#panel[open]")?.close();
  frame.replaceChildren(...side.childNodes);
  const help = page.querySelector("#help");
  if (help) document.querySelector("#help")?.replaceWith(help);
  if (how === "stay") main.querySelector(".done")?.classList.add("over"); // what is read does not move down for it
  const height = scrollY;
  before.replaceWith(main);
  ready(main);
  if (how !== "back") scrollTo(0, how === "stay" ? height : 0);
  const left = stays(main);
  const next = nth < 0 ? document.querySelector<HTMLElement>(again) : left[Math.min(nth, left.length - 1)];
  const fold = next?.closest("details:not([open])")?.querySelector("summary");
  (fold ?? next ?? main).focus({ preventScroll: true });
}

/** Say above a form why it was refused, and leave everything as it is. */
function refuse(form: HTMLFormElement, reason: HTMLElement): void {
  document.querySelector("#main")?.removeAttribute("aria-busy");
  document.querySelector("#refused")?.remove();
  form.before(reason);
  form.querySelectorAll("button").forEach((button) => (button.disabled = false));
  point(form, reason);
}

/** Lead to the first field of a form, and to the reason above it. */
function point(form: Element, reason: HTMLElement): void {
  const field = form.querySelector<HTMLElement>(":is(input:not([type=hidden], .hidden), select, textarea)");
  field?.focus();
  reason.scrollIntoView({ block: "nearest" });
}

/** The buttons of forms that leave the reader where they are, one a row. */
const stays = (of: ParentNode): HTMLElement[] => [...of.querySelectorAll<HTMLElement>("form[data-stay] button")];

/** Where the focus is, to go on from there: the next page of a list, a field, the other language. */
function counterpart(): string {
  const now = document.activeElement;
  if (now?.matches(".language button")) return ".language [aria-pressed=true]";
  if (now?.matches(".pager [rel=next]")) return ".pager [rel=next]";
  const name = now?.closest(".filters, .inline") && now.getAttribute("name");
  return name ? `#main :is(.filters, .inline) [name="${CSS.escape(name)}"]` : "#main";
}
