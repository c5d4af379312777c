"use strict";
const main = document.querySelector("main");
const note = document.querySelector("#connection");
let latest = null;

// A selection of text stays until it was copied.
const show = () => {
  if (latest !== null && document.getSelection().isCollapsed) {
    main.innerHTML = latest;
    document.title = main.querySelector("h1").textContent;
    latest = null;
  }
};

const connect = () => {
  const events = new EventSource("events");
  events.addEventListener("state", event => {
    note.hidden = true;
    latest = event.data;
    show();
  });
  events.addEventListener("end", () => {
    events.close();
    note.textContent = "The run has ended, and the server of this page with it.";
    note.hidden = false;
  });
  events.addEventListener("error", () => {
    note.textContent = "There is no connection; it is tried again.";
    note.hidden = false;
    if (events.readyState === EventSource.CLOSED) setTimeout(connect, 5000);
  });
};

document.addEventListener("selectionchange", show);
connect();
