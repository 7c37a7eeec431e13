// What one asks for within a page replaces its content and not the page: another page of a list, a filter, the other
// language, a note on an alarm. The browser keeps styles, scripts and frame, and shows it in half the time.
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
    void replace(ask(location.href), () => location.reload(), false);
  });
}

/** Send a form and stay; false where the browser is to send it. */
export function sendWithin(form: HTMLFormElement, pressed: HTMLElement | null): boolean {
  if (document.querySelectorAll("head script[src]").length > 1 || !form.matches(FORMS)) return false;
  const fields = new URLSearchParams();
  for (const [name, value] of new FormData(form, pressed)) {
    if (typeof value === "string") fields.append(name, value);
  }
  // Not form.action: that may be a field of that name.
  const action = new URL(form.getAttribute("action") ?? "", location.href).href;
  if (form.getAttribute("method") !== "post" || (form.matches(".filters") && !named(form))) {
    const url = address(action, fields);
    void replace(ask(url), () => (location.href = url));
  } else {
    void replace(ask(action, { method: "POST", body: fields }), () => HTMLFormElement.prototype.submit.call(form));
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

async function replace(asked: Promise<Response>, otherwise: () => void, add = true): Promise<void> {
  const mine = ++turn;
  const again = counterpart(); // now: a form's buttons are about to be disabled
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
  const [frame, side] = [document, page].map((each) => each.querySelector<HTMLElement>(".side"));
  if (!before || !main || !frame || !side) return otherwise();
  if (url.pathname !== location.pathname) return void (location.href = answer.url);
  const path = url.pathname + url.search;
  if (add && path !== shown) history.pushState(null, "", path);
  shown = path;
  document.title = page.title;
  document.documentElement.lang = page.documentElement.lang;
  Object.assign(document.body.dataset, page.body.dataset);
  document.querySelector<HTMLDialogElement>("#panel[open]")?.close();
  frame.replaceChildren(...side.childNodes);
  before.replaceWith(main);
  ready(main);
  if (add) scrollTo(0, 0);
  (document.querySelector<HTMLElement>(again) ?? main).focus({ preventScroll: true });
}

/** Where the focus is, to go on from there: the next page of a list, a field, the other language. */
function counterpart(): string {
  const now = document.activeElement;
  if (now?.matches(".language button")) return ".language [aria-pressed=true]";
  if (now?.matches(".pager [rel=next]")) return ".pager [rel=next]";
  const name = now?.closest(".filters, .inline") && now.getAttribute("name");
  return name ? `#main :is(.filters, .inline) [name="${CSS.escape(name)}"]` : "#main";
}
