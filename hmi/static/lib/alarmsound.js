// The sound of alarms: a tone made here, no file. Silenced until the next alarm, or off in this browser.

const TONES = {
  critical: {hz: 988, beeps: 3, everyMs: 1500},
  high: {hz: 784, beeps: 2, everyMs: 3000},
  medium: {hz: 587, beeps: 1, everyMs: 6000},
  low: {hz: 440, beeps: 1, everyMs: 30000},
};
const OFF = "gridgate.sound";
const SILENCED = "gridgate.silenced";
const BEEP_S = 0.14;

export class AlarmSound {
  // onstate("quiet" | "sounding" | "silenced" | "off") after each change
  constructor(onstate) {
    this._onstate = onstate;
    this._priority = "";
    this._newest = 0;
    this._timer = 0;
    this._other = (event) => {
      if (event.key === OFF || event.key === SILENCED) this._settle();
    };
    window.addEventListener("storage", this._other); // another tab was silenced
    this._settle();
  }

  get off() {
    return localStorage.getItem(OFF) === "off";
  }

  get state() {
    if (!this._priority) return this.off ? "off" : "quiet";
    if (this.off) return "off";
    return this._newest > Number(localStorage.getItem(SILENCED) ?? 0) ? "sounding" : "silenced";
  }

  // The highest priority that asks for a person, "" for none; when the newest one came (ms).
  hear(priority, newest) {
    this._priority = priority;
    this._newest = newest;
    this._settle();
  }

  silence() {
    localStorage.setItem(SILENCED, String(this._newest));
    this._settle();
  }

  switch(off) {
    localStorage.setItem(OFF, off ? "off" : "on");
    this._settle();
  }

  end() {
    window.removeEventListener("storage", this._other);
    clearInterval(this._timer);
    this._context?.close();
  }

  _settle() {
    const state = this.state;
    const wanted = state === "sounding" ? this._priority : "";
    if (wanted !== this._playing) {
      clearInterval(this._timer);
      this._playing = wanted;
      if (wanted) {
        this._play(TONES[wanted]);
        this._timer = setInterval(() => this._play(TONES[wanted]), TONES[wanted].everyMs);
      }
    }
    this._onstate(state);
  }

  _play({hz, beeps}) {
    const context = (this._context ??= new AudioContext());
    if (context.state === "suspended") context.resume().catch(() => {});
    for (let i = 0; i < beeps; i += 1) {
      const from = context.currentTime + 0.02 + i * BEEP_S * 1.6;
      const tone = new OscillatorNode(context, {type: "triangle", frequency: hz});
      const loudness = new GainNode(context, {gain: 0});
      loudness.gain.setValueAtTime(0, from);
      loudness.gain.linearRampToValueAtTime(0.25, from + 0.01);
      loudness.gain.setValueAtTime(0.25, from + BEEP_S - 0.02);
      loudness.gain.linearRampToValueAtTime(0, from + BEEP_S);
      tone.connect(loudness).connect(context.destination);
      tone.start(from);
      tone.stop(from + BEEP_S);
    }
  }
}
