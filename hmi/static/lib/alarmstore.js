// What stands, as the stream tells it.

import {atRest} from "./alarmwords.js";

export class AlarmStore {
  constructor(live, changed) {
    this.alarms = new Map(); // name -> facts
    this.total = 0;
    this.known = false;
    this.end = live.listen("alarms", (news) => {
      if (news.snapshot) this.alarms.clear();
      for (const alarm of news.alarms) {
        if (atRest(alarm)) this.alarms.delete(alarm.alarm);
        else this.alarms.set(alarm.alarm, alarm);
      }
      this.total = news.total;
      this.known = true;
      changed();
    });
  }
}
