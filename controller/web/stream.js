// The live feed: one EventSource, everything on connect, then changes. Tells "lost" when nothing has
// been heard for a while, also when the browser has not noticed, and connects again by itself.

const SILENCE_MS = 12000; // the server speaks at least every 5 s
const RETRY_MS = 1500;

export class Stream {
  constructor(url, onState, onLink) {
    this.url = url;
    this.onState = onState;
    this.onLink = onLink;
    this.state = null;
    this.heardAt = performance.now();
    this.live = false;
    setInterval(() => this.watch(), 1000);
    document.addEventListener("visibilitychange", () => this.watch());
    this.open();
  }

  open() {
    this.source?.close();
    this.openedAt = performance.now();
    this.source = new EventSource(this.url);
    this.source.addEventListener("state", (event) => this.take(event, (news) => news));
    this.source.addEventListener("change", (event) => this.take(event, (news) => merged(this.state, news)));
    this.source.addEventListener("time", (event) => this.take(event, (news) => ({ ...this.state, ...news })));
    this.source.onerror = () => this.lose();
  }

  take(event, combine) {
    const news = JSON.parse(event.data);
    this.heardAt = performance.now();
    this.state = combine(news);
    if (!this.live) this.tell(true);
    this.onState(this.state, new Set([...Object.keys(news), ...Object.keys(news.site ?? {})]));
  }

  lose() {
    if (this.live) this.tell(false);
  }

  tell(live) {
    this.live = live;
    this.onLink(live, this.heardAt);
  }

  // The browser retries a refused connection by itself, but gives up on an error answer and does not see a dead line.
  watch() {
    const now = performance.now();
    const silent = now - this.heardAt > SILENCE_MS;
    if (silent) this.lose();
    const closed = this.source.readyState === EventSource.CLOSED;
    if ((closed && now - this.openedAt > RETRY_MS) || (silent && now - this.openedAt > SILENCE_MS)) this.open();
  }
}

const MAX_EVENTS = 500;

function merged(state, news) {
  const events = news.events ? [...state.events, ...news.events].slice(-MAX_EVENTS) : state.events;
  return { ...state, ...news, site: { ...state.site, ...news.site }, events };
}
