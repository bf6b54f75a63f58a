// Live values and news: one WebSocket for the whole page, see hmi/stream.py for its frames.

const VALUES = 1;
const AGES = 2;

export class Live {
  constructor() {
    this.values = new Map(); // name -> {value, quality, timeMs, seenMs, kind, unit}
    this.connected = false;
    this.clockMs = 0; // gateway's clock minus the browser's
    this._names = new Map(); // row -> name
    this._watchers = new Set(); // {names, act}
    this._listeners = new Map(); // topic -> Set of functions
    this._newcomers = new Set(); // topics with a listener that waits for the first word, see hmi/stream.py
    this._changed = new Set();
    this._drawing = false;
    this._retryMs = 500;
    this._closed = false;
    this.onstate = () => {};
    this.onended = () => {}; // the connection was closed or refused: the session may have ended
    this._connect();
  }

  // act(changed: Set of names) at most once a frame of the screen; returns a function that ends it.
  // `names` may hold patterns such as poi/*.
  watch(names, act) {
    const watcher = {names: [...names], act};
    this._watchers.add(watcher);
    this._ask();
    return () => {
      if (this._watchers.delete(watcher)) this._ask();
    };
  }

  // News of a topic; returns a function that ends it.
  listen(topic, act) {
    if (!this._listeners.has(topic)) this._listeners.set(topic, new Set());
    this._listeners.get(topic).add(act);
    this._newcomers.add(topic);
    this._askTopics();
    return () => {
      this._listeners.get(topic)?.delete(act);
      if (!this._listeners.get(topic)?.size) this._listeners.delete(topic);
      this._askTopics();
    };
  }

  // Now by the gateway's clock.
  now() {
    return Date.now() + this.clockMs;
  }

  close() {
    this._closed = true;
    this._socket?.close();
  }

  _connect() {
    if (this._closed) return;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/api/stream`);
    socket.binaryType = "arraybuffer";
    this._socket = socket;
    socket.onopen = () => {
      this._retryMs = 500;
      this._state(true);
      this._ask();
      this._askTopics();
    };
    socket.onmessage = ({data}) => (typeof data === "string" ? this._news(JSON.parse(data)) : this._columns(data));
    socket.onclose = () => {
      this._state(false);
      if (this._closed) return;
      this.onended();
      setTimeout(() => this._connect(), this._retryMs);
      this._retryMs = Math.min(this._retryMs * 2, 5000);
    };
  }

  _state(connected) {
    this.connected = connected;
    this.onstate(connected);
  }

  _send(message) {
    if (this._socket?.readyState === WebSocket.OPEN) this._socket.send(JSON.stringify(message));
  }

  _ask() {
    if (this._asking) return;
    this._asking = true;
    queueMicrotask(() => {
      this._asking = false;
      this._send({points: [...new Set([...this._watchers].flatMap((each) => each.names))]});
    });
  }

  _askTopics() {
    if (this._askingTopics) return;
    this._askingTopics = true;
    queueMicrotask(() => {
      this._askingTopics = false;
      this._send({topics: [...this._listeners.keys()], again: [...this._newcomers]});
      this._newcomers.clear();
    });
  }

  _news(news) {
    if (news.topic === "points") {
      this._names.clear();
      for (const [row, name, kind, unit] of news.points) {
        this._names.set(row, name);
        const known = this.values.get(name);
        if (!known) this.values.set(name, {value: 0, quality: 8, timeMs: 0, seenMs: 0, kind, unit});
      }
    }
    for (const act of this._listeners.get(news.topic) ?? []) act(news);
  }

  _columns(data) {
    const [kind, count] = new Uint32Array(data, 0, 2);
    const timeMs = new Float64Array(data, 8, 1)[0];
    this.clockMs = timeMs - Date.now();
    const rows = new Uint32Array(data, 16, count);
    if (kind === VALUES) {
      const quality = new Uint32Array(data, 16 + 4 * count, count);
      const value = new Float64Array(data, 16 + 8 * count, count);
      const time = new Float64Array(data, 16 + 16 * count, count);
      this._each(rows, (known, i) => {
        known.value = value[i];
        known.quality = quality[i];
        known.timeMs = time[i];
        known.seenMs = Math.max(known.seenMs, time[i]);
      });
    } else if (kind === AGES) {
      const seen = new Float64Array(data, 16 + 4 * (count + (count % 2)), count);
      this._each(rows, (known, i) => {
        known.seenMs = seen[i];
      });
    }
  }

  _each(rows, take) {
    for (let i = 0; i < rows.length; i += 1) {
      const name = this._names.get(rows[i]);
      const known = this.values.get(name);
      if (!known) continue;
      take(known, i);
      this._changed.add(name);
    }
    if (this._drawing || !this._changed.size) return;
    this._drawing = true;
    // A page in the background is given no frames: its values are drawn when it is looked at again.
    requestAnimationFrame(() => {
      this._drawing = false;
      const changed = this._changed;
      this._changed = new Set();
      for (const watcher of [...this._watchers]) watcher.act(changed);
    });
  }
}
