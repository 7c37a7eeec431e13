// Who is inside: the list is asked for again and again, and the last one stays while the receiver cannot be reached.
//
// Whoever reads the list out ticks people off. The ticks stay when the list is replaced, and nothing of this needs the
// receiver: a line that is cut during an evacuation costs the news, and not the list.

const OFTEN_MS = 15_000;
const SELDOM_MS = 60_000; // a tab that is hidden

const list = document.querySelector<HTMLElement>("#inside")!;
const state = document.querySelector<HTMLElement>("#inside-state")!;
const url = list.dataset.now;
const ticked = new Set<string>();

let lostAt: Date | undefined;
let asking = false;
let next: ReturnType<typeof setTimeout> | undefined;

const printButton = document.querySelector<HTMLButtonElement>("[data-print]")!;
printButton.hidden = false;
printButton.addEventListener("click", () => window.print());

list.addEventListener("change", ({ target }) => {
  if (!(target instanceof HTMLInputElement)) return;
  if (target.checked) ticked.add(target.value);
  else ticked.delete(target.value);
  count();
});

/** How many of those who are listed are ticked off. */
function count(): void {
  const boxes = [...list.querySelectorAll<HTMLInputElement>(".tick input")];
  const done = boxes.filter((box) => box.checked).length;
  const told = list.querySelector<HTMLElement>('[data-part="ticked"]')!;
  told.hidden = !done;
  told.textContent = (list.dataset.ticked ?? "").replace("{n}", String(done)).replace("{all}", String(boxes.length));
}

async function ask(): Promise<void> {
  if (!url || asking) return;
  asking = true;
  clearTimeout(next);
  try {
    const answer = await fetch(url, { headers: { "x-part": "inside" } });
    if (answer.status === 401 || answer.redirected) lost(list.dataset.over);
    else if (!answer.ok) lost(list.dataset.lost);
    else show(await answer.text());
  } catch {
    lost(list.dataset.lost);
  }
  asking = false;
  next = setTimeout(() => void ask(), document.hidden ? SELDOM_MS : OFTEN_MS);
}

/** Say since when the list is not current; it stays as it is. */
function lost(text = ""): void {
  lostAt ??= new Date();
  list.dataset.connected = "no";
  state.textContent = text.replace("{at}", lostAt.toTimeString().slice(0, 8));
  state.hidden = false;
}

function show(html: string): void {
  const focused = list.contains(document.activeElement) ? (document.activeElement as HTMLInputElement).value : undefined;
  list.innerHTML = html;
  list.querySelectorAll<HTMLInputElement>(".tick input").forEach((box) => {
    box.checked = ticked.has(box.value);
    if (focused && box.value === focused) box.focus({ preventScroll: true });
  });
  count();
  list.dataset.connected = "yes";
  list.dataset.shown = String(Number(list.dataset.shown ?? 0) + 1);
  if (!lostAt) return;
  lostAt = undefined;
  state.textContent = list.dataset.back ?? "";
  setTimeout(() => {
    if (!lostAt) state.hidden = true;
  }, 6000);
}

addEventListener("online", () => void ask());
addEventListener("offline", () => url && lost(list.dataset.lost));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) void ask();
});
if (url) next = setTimeout(() => void ask(), OFTEN_MS);
