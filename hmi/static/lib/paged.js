// A long list that is fetched page by page as it comes into sight: {length, at(index)} for Rows.

export class Paged {
  // fetchPage(offset, limit) -> {total, points: [...]}; arrived(): something is there to be drawn
  constructor(fetchPage, arrived, {size = 200, key = "points"} = {}) {
    this._fetch = fetchPage;
    this._arrived = arrived;
    this._size = size;
    this._key = key;
    this._pages = new Map();
    this.length = 0;
  }

  // The first page; rejects with what the server refused.
  async begin() {
    await this._load(0);
    return this;
  }

  at(index) {
    const page = this._pages.get(Math.floor(index / this._size));
    if (page === undefined) {
      this._load(Math.floor(index / this._size)).catch(() => {});
      return undefined;
    }
    return page?.[index % this._size];
  }

  // Its place among what has been fetched, or -1.
  find(holds) {
    for (const [number, page] of this._pages) {
      const at = page ? page.findIndex(holds) : -1;
      if (at >= 0) return number * this._size + at;
    }
    return -1;
  }

  async _load(number) {
    this._pages.set(number, null); // asked for
    try {
      const answer = await this._fetch(number * this._size, this._size);
      this.length = answer.total;
      this._pages.set(number, answer[this._key]);
    } catch (error) {
      this._pages.delete(number);
      throw error;
    }
    this._arrived();
  }
}
