// The stream of events, as something that wakes: it says that something happened, or that the receiver may be away.

const RETRY_MS = 1500;
const YOUNG_MS = 20_000;

export type Wake = "open" | "event" | "away";

/** Keep a stream open until `close` is called. */
export class Stream {
  #url: string;
  #wake: (what: Wake) => void;
  #source: EventSource | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #since = 0;

  constructor(url: string, wake: (what: Wake) => void) {
    this.#url = url;
    this.#wake = wake;
  }

  get isOpen(): boolean {
    return this.#source?.readyState === EventSource.OPEN;
  }

  open(): void {
    this.close();
    const source = (this.#source = new EventSource(this.#url));
    this.#since = Date.now();
    source.onopen = () => this.#wake("open");
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) this.#retry = setTimeout(() => this.open(), RETRY_MS);
      this.#wake("away");
    };
    for (const kind of ["record", "alarm"]) source.addEventListener(kind, () => this.#wake("event"));
  }

  /** Open it again: a connection can die without a word. Not one that is new, whoever asks. */
  again(): void {
    if (!this.isOpen || Date.now() - this.#since > YOUNG_MS) this.open();
  }

  close(): void {
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = undefined;
  }
}
