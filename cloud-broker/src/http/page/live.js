// Follows one stream through server-sent events. The browser connects again by itself, with the
// id of the last event, and misses nothing.

/** So much of the past is shown at once. */
const PAST_MS = 60_000;

export class Live {
  #source = null;
  #onRecord;
  #onState;
  #name = "";
  #filter = "";
  /** Each partition's next offset, as the last event said. */
  #next = new Map();

  constructor(onRecord, onState) {
    this.#onRecord = onRecord;
    this.#onState = onState;
  }

  follow(name, filter) {
    this.#name = name;
    this.#filter = filter;
    this.#open(new Date(Date.now() - PAST_MS).toISOString());
  }

  /** Goes on with what comes now. */
  skip() {
    this.#open("latest");
  }

  /** How many records there are that were not seen yet. */
  behind(partitions) {
    if (this.#filter || this.#next.size === 0) return 0;
    return partitions.reduce((sum, { id, end }) => sum + Math.max(0, end - (this.#next.get(id) ?? end)), 0);
  }

  #open(from) {
    this.#source?.close();
    this.#next.clear();
    const query = new URLSearchParams({ from });
    if (this.#filter) query.set("filter", this.#filter);
    const source = new EventSource(`/api/v1/streams/${encodeURIComponent(this.#name)}/live?${query}`);
    source.addEventListener("open", () => this.#onState("live"));
    source.addEventListener("error", () => this.#onState(source.readyState === EventSource.CLOSED ? "lost" : "connecting"));
    source.addEventListener("record", (event) => {
      const record = JSON.parse(event.data);
      this.#next.set(record.partition, record.offset + 1);
      this.#onRecord(record);
    });
    this.#source = source;
    this.#onState("connecting");
  }
}
