// Who works on which picture: this device or the computer. Each is started when it is first needed, and both may have
// pictures open side by side: a picture stays with whom it was opened by.

export class Workers {
  /**
   * `find(id)` is the queue's; `placeFor(picture)` says where it goes when it is opened, `starts` holds by place what
   * starts who works there, given what hears it; `heard(message, place)` gets the messages that are meant.
   */
  constructor({ find, placeFor, starts, heard }) {
    this.find = find;
    this.placeFor = placeFor;
    this.starts = starts;
    this.heard = heard;
    this.open = {}; // Place -> who works there.
  }

  at(place) {
    this.open[place] ??= this.starts[place]((message) => this.hear(message, place));
    return this.open[place];
  }

  ask(message) {
    const picture = this.find(message.id);
    if (!picture) return;
    if (message.type === "open") {
      picture.by = this.placeFor(picture);
      this.at(picture.by);
    }
    this.open[picture.by]?.ask(message);
  }

  /** What comes late, of a picture that is gone or that another works on now, is not meant. */
  hear(message, place) {
    if (message.id === undefined || this.find(message.id)?.by === place) this.heard(message, place);
  }

  stop(place) {
    this.open[place]?.stop();
    delete this.open[place];
  }
}
