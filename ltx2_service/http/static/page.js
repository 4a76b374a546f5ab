// The page: its parts, and what people do with them.

import { Api, Refused, Unreachable } from "./api.js";
import { Cards } from "./cards.js";
import { Clips, hasEnded } from "./clips.js";
import { askToDelete, askToken } from "./dialogs.js";
import { Form } from "./form.js";
import { Gallery } from "./gallery.js";
import { write } from "./keyed.js";
import { Pictures } from "./pictures.js";
import { Queue } from "./queue.js";

const BUSY_MS = 2000; // between looks while something waits or runs
const CALM_MS = 5000;
const TITLE = document.title;

const byId = (id) => document.getElementById(id);
const api = new Api(askToken);
const clips = new Clips(api, { changed: show, ended: announce, over: watch });
const cards = new Cards(byId("cards"), byId("card-template"), byId("summary"));
const pictures = new Pictures(byId("wanted"), byId("picture-template"));
const form = new Form(byId("wanted"), pictures, make);
const queue = new Queue(byId("works"), byId("queued-template"), cancel);
const gallery = new Gallery(byId("clips"), byId("clip-template"), api.content.bind(api), {
  again: (id) => doing(async () => added(await api.again(id, clips.get(id).prompt))),
  reuse,
  remove,
  failed: (error) => refused(error),
});
let making = false;
let timer = 0;

byId("close-notice").addEventListener("click", () => (byId("notice").hidden = true));
byId("more").addEventListener("click", () => doing(() => clips.older()));
document.addEventListener("visibilitychange", () => document.hidden || watch());
watch();

/** Looks at the service, and again after a while, for as long as somebody sees the page. */
async function watch() {
  clearTimeout(timer);
  try {
    const service = await api.service();
    cards.show(service);
    form.offer(service);
    await clips.look();
    byId("offline").hidden = true;
  } catch (error) {
    if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
    write(byId("offline"), error.message);
    byId("offline").hidden = false;
  }
  clearTimeout(timer);
  const busy = clips.all.some((clip) => !hasEnded(clip));
  if (!document.hidden) timer = setTimeout(watch, busy ? BUSY_MS : CALM_MS);
}

function show() {
  const active = clips.all.filter((clip) => !hasEnded(clip));
  queue.show(active);
  gallery.show(clips.all.filter(hasEnded));
  byId("more").hidden = !clips.more;
  const running = active.find((clip) => clip.status === "in_progress");
  document.title = running ? `${running.progress} % · ${TITLE}` : TITLE;
}

/** Says a sentence to who can't see what changed. */
function tell(sentence) {
  byId("told").textContent = sentence;
}

function announce(clip) {
  const how = clip.status === "completed" ? "is done" : `has failed: ${clip.error?.message}`;
  tell(`“${clip.prompt}” ${how}`);
}

/** Does what a button asks for; a refusal is said in `box`. */
async function doing(act, box = byId("notice-text")) {
  byId("notice").hidden = true;
  try {
    await act();
  } catch (error) {
    refused(error, box);
  }
}

function refused(error, box = byId("notice-text")) {
  if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
  write(box, error.message);
  box.closest("[hidden]").hidden = false;
}

async function make(request) {
  if (making) return;
  making = true;
  byId("make").setAttribute("aria-disabled", "true");
  byId("refused").hidden = true;
  await doing(async () => added(await api.make(request)), byId("refused"));
  byId("make").setAttribute("aria-disabled", "false");
  making = false;
}

function added(clip) {
  clips.add(clip);
  tell(`“${clip.prompt}” was accepted.`);
  watch();
}

function cancel(id) {
  return doing(async () => {
    if (clips.get(id).cancels) return;
    await api.remove(id);
    clips.cancelled(id);
    tell("The clip ends.");
    watch();
  });
}

function reuse(id) {
  const clip = clips.get(id);
  form.fill(clip);
  form.focus();
  tell(clip.pictures.length ? "Its settings are in the form; add its pictures anew." : "Its settings are in the form.");
}

async function remove(id) {
  if (!(await askToDelete(clips.get(id).prompt))) return;
  await doing(async () => {
    await api.remove(id);
    clips.forget(id);
    tell("The clip is deleted.");
  });
}
