// What is shown of which points: each painter is run when one of its points has changed, and once a second for ages.

export class Binding {
  constructor(live) {
    this._live = live;
    this._painters = []; // {names, paint}
    this._byName = new Map();
    this._end = () => {};
  }

  // paint(...known of each name): undefined where nothing has been heard of it
  add(names, paint) {
    const painter = {names: names.filter(Boolean), paint: () => paint(...names.map((name) => this._live.values.get(name)))};
    this._painters.push(painter);
    for (const name of painter.names) {
      if (!this._byName.has(name)) this._byName.set(name, new Set());
      this._byName.get(name).add(painter);
    }
  }

  begin() {
    const end = this._live.watch([...this._byName.keys()], (changed) => {
      const due = new Set();
      for (const name of changed) for (const painter of this._byName.get(name) ?? []) due.add(painter);
      for (const painter of due) painter.paint();
    });
    for (const painter of this._painters) painter.paint();
    this._end = end;
  }

  end() {
    this._end();
  }
}
