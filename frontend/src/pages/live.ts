// The live page.
//
// It keeps one number: the place in the stream up to which it has shown everything. `/api/v1/live` only wakes it; what
// is new is asked for by that place, as finished cards. So a connection that was lost costs nothing but time, and all
// tabs of a browser can share one. Where there are no shared workers, a tab that is hidden has no stream.

import { Stream } from "../stream";

const MOST_CARDS = 240;
const GATHER_MS = 120; // a rush is drawn a few times a second, not for every event
const RETRY_MS = 1500;
const SILENT_MS = 40_000; // the stream says something every 15 s

const live = document.querySelector<HTMLElement>("#live")!;
const part = (name: string, of: ParentNode = live): HTMLElement => of.querySelector(`[data-part="${name}"]`)!;
const state = live.querySelector<HTMLElement>("[data-state]")!;
const newer = live.querySelector<HTMLButtonElement>("[data-newer]")!;
const pauseButton = live.querySelector<HTMLButtonElement>("[data-pause]")!;
const soundButton = live.querySelector<HTMLButtonElement>("[data-sound]")!;

let place = Number(live.dataset.place);
let stream: { again(): void } | undefined;
let heard = Date.now();
let lostAt: Date | undefined;
let asking = false;
let wanted = false;
let waiting: HTMLElement[] = []; // cards that came while somebody reads, latest first
let held = false;
let newestAlarm = Number(part("alarms").dataset.newest);

live.querySelector<HTMLElement>("[data-tools]")!.hidden = false;

// -- the connection

// What wakes the page, says too when the receiver may be away: to ask tells.
const woken = (): void => void ask();

/** The stream that all tabs share. */
function connect(): void {
  if (!("SharedWorker" in window)) return connectAlone();
  const worker = new SharedWorker(live.dataset.shared!, { type: "module" });
  const say = (what: string): void => worker.port.postMessage(what);
  worker.port.onmessage = woken;
  worker.onerror = connectAlone; // a browser that starts none
  say(live.dataset.stream!);
  stream = { again: () => say("again") };
  addEventListener("pagehide", () => say("bye"));
  addEventListener("pageshow", (event) => {
    if (event.persisted) say(live.dataset.stream!); // back from where browsers keep pages that were left
  });
}

/** A stream of this tab's own while it can be seen: hidden tabs would take every connection that there is. */
function connectAlone(): void {
  const own = new Stream(live.dataset.stream!, woken);
  const follow = (): void => (document.hidden ? own.close() : own.open());
  document.addEventListener("visibilitychange", follow);
  stream = { again: () => document.hidden || own.again() };
  follow();
}

async function ask(): Promise<void> {
  heard = Date.now();
  if (asking) {
    wanted = true;
    return;
  }
  asking = true;
  do {
    wanted = false;
    try {
      const since = new URL(live.dataset.since!, location.href); // with what the page is narrowed to
      since.searchParams.set("after", String(place));
      const answer = await fetch(since, { headers: { "x-part": "live" } });
      if (answer.status === 401) return location.reload(); // the session is over: log in and come back
      if (!answer.ok) throw new Error(answer.statusText);
      show(await answer.text(), Number(answer.headers.get("x-place")));
      found();
    } catch {
      lost();
      setTimeout(() => void ask(), RETRY_MS);
      break;
    }
    await new Promise((done) => setTimeout(done, GATHER_MS));
  } while (wanted);
  asking = false;
}

function lost(): void {
  if (lostAt) return;
  lostAt = new Date();
  live.dataset.connected = "no";
  state.textContent = (live.dataset.lost ?? "").replace("{at}", lostAt.toTimeString().slice(0, 8));
}

function found(): void {
  live.dataset.connected = "yes";
  if (!lostAt) return;
  lostAt = undefined;
  stream?.again();
  say(live.dataset.back ?? "");
}

// A connection can die without a word: a cable, a sleeping computer.
setInterval(() => {
  if (Date.now() - heard > SILENT_MS) {
    stream?.again();
    void ask();
  }
}, 5000);
addEventListener("online", () => void ask());
addEventListener("offline", lost);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) void ask();
});

// -- what one does here, without leaving

live.addEventListener("submit", (event) => {
  if (!(event.target instanceof HTMLFormElement) || !event.target.matches("[data-within]")) return;
  event.preventDefault();
  void send(event.target);
});

async function send(form: HTMLFormElement): Promise<void> {
  const body = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (typeof value === "string") body.append(name, value);
  const browse = (): void => HTMLFormElement.prototype.submit.call(form);
  try {
    const answer = await fetch(form.action, { method: "POST", body, headers: { "x-part": "live" }, redirect: "manual" });
    if (answer.type !== "opaqueredirect") return browse(); // the browser shows what is the matter
  } catch {
    return browse();
  }
  form.closest("details")?.removeAttribute("open");
  say(form.dataset.done ?? "");
  await ask();
  live.querySelector<HTMLElement>("h1")?.focus({ preventScroll: true });
}

/** Tell something for a while. */
function say(text: string): void {
  state.textContent = text;
  setTimeout(() => {
    if (!lostAt && state.textContent === text) state.textContent = "";
  }, 6000);
}

// -- what is shown

function show(html: string, reached: number): void {
  const box = document.createElement("template");
  box.innerHTML = html;
  part("numbers").replaceWith(part("numbers", box.content));
  showBadge(part("numbers"));
  showAlarms(part("alarms", box.content));
  place = reached;
  const shown = new Set([...live.querySelectorAll<HTMLElement>("[data-id]"), ...waiting].map((card) => card.dataset.id));
  const fresh = [...part("cards", box.content).children].filter(
    (card): card is HTMLElement => card instanceof HTMLElement && !shown.has(card.dataset.id ?? " "),
  );
  if (!fresh.length) return;
  if (fresh.some((card) => card.dataset.marked !== undefined)) sound();
  waiting = [...fresh, ...waiting].slice(0, MOST_CARDS);
  if (reading()) offer();
  else release();
}

/** The number beside *Alarms* in the navigation, which stands outside of what is asked for. */
function showBadge(numbers: HTMLElement): void {
  const link = document.querySelector('[data-page="alarms"]');
  link?.querySelector(".count")?.remove();
  if (!link || !numbers.dataset.badge) return;
  const badge = document.createElement("b");
  badge.className = "count";
  badge.textContent = numbers.dataset.badge;
  badge.title = numbers.dataset.badgeTitle ?? "";
  link.append(badge);
}

function showAlarms(alarms: HTMLElement): void {
  const before = part("alarms");
  if (before.contains(document.activeElement) && before.querySelector("details[open]")) return; // a note is being written
  before.replaceWith(alarms);
  const newest = Number(alarms.dataset.newest);
  if (newest > newestAlarm) sound();
  newestAlarm = Math.max(newest, newestAlarm);
}

/** Somebody looks at what is there: it must not move away under their eyes. */
function reading(): boolean {
  const panel = document.querySelector<HTMLDialogElement>("#panel");
  return held || scrollY > 80 || Boolean(panel?.open) || part("cards").contains(document.activeElement);
}

function release(): void {
  live.querySelector("[data-empty]")?.remove();
  waiting.forEach((card) => card.classList.add("fresh"));
  part("cards").prepend(...waiting);
  waiting = [];
  newer.hidden = true;
  [...part("cards").children].slice(MOST_CARDS).forEach((card) => card.remove());
}

function offer(): void {
  newer.textContent = (live.dataset.new ?? "").replace("{n}", String(waiting.length));
  newer.hidden = waiting.length === 0;
}

newer.addEventListener("click", () => {
  scrollTo({ top: 0 });
  release();
  live.querySelector<HTMLElement>(".card a")?.focus({ preventScroll: true });
  (document.activeElement as HTMLElement | null)?.blur();
});
addEventListener("scroll", () => {
  if (waiting.length && !reading()) release();
});

pauseButton.addEventListener("click", () => {
  held = !held;
  pauseButton.setAttribute("aria-pressed", String(held));
  if (!held && !reading()) release();
});

// -- sound, for whoever asked for it in this browser: none is allowed before a click or a key on the page

const SOUND = "gatepost.sound";
let audio: AudioContext | undefined;

soundButton.addEventListener("click", () => {
  const on = soundButton.getAttribute("aria-pressed") !== "true";
  soundButton.setAttribute("aria-pressed", String(on));
  remember(on);
  audio ??= new AudioContext();
  if (on) sound();
});

/** Keep the choice for the next page. A browser may keep nothing for us; then it is off again. */
function remember(on: boolean): void {
  try {
    if (on) localStorage.setItem(SOUND, "on");
    else localStorage.removeItem(SOUND);
  } catch {
    return;
  }
}

function recallSound(): void {
  let on = false;
  try {
    on = localStorage.getItem(SOUND) === "on";
  } catch {
    return;
  }
  if (!on) return;
  soundButton.setAttribute("aria-pressed", "true");
  audio = new AudioContext();
  if (audio.state === "running") return; // where the browser was told that it may
  state.textContent = live.dataset.silent ?? "";
  const start = (): void => {
    removeEventListener("pointerdown", start, true);
    removeEventListener("keydown", start, true);
    void audio?.resume();
    if (state.textContent === live.dataset.silent) state.textContent = "";
  };
  addEventListener("pointerdown", start, true);
  addEventListener("keydown", start, true);
}

function sound(): void {
  if (!audio || soundButton.getAttribute("aria-pressed") !== "true") return;
  [0, 0.22].forEach((after, index) => {
    const tone = audio!.createOscillator();
    const volume = audio!.createGain();
    const at = audio!.currentTime + after;
    tone.frequency.value = index ? 660 : 880;
    volume.gain.setValueAtTime(0.0001, at);
    volume.gain.exponentialRampToValueAtTime(0.25, at + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.0001, at + 0.2);
    tone.connect(volume).connect(audio!.destination);
    tone.start(at);
    tone.stop(at + 0.21);
  });
  live.dataset.rang = String(Number(live.dataset.rang ?? 0) + 1);
}

recallSound();
connect();
