// Numbers as people say them, and the few sums that the form does. Nothing here touches the page.

const STRIDE = 8; // frames that the model makes at a time, after the first
const SIZES = [
  [512, 320], [704, 480], [768, 512], [1024, 576], [1280, 704], [1536, 1024], [1920, 1088],
  [512, 512], [768, 768], [1024, 1024],
  [320, 512], [480, 704], [512, 768], [576, 1024], [704, 1280], [1088, 1920],
]; // prettier-ignore

/** The least number of frames 8k+1 that lasts at least so many seconds, as the API counts. */
export function framesOf(seconds, rate) {
  const frames = Math.ceil(Number((seconds * rate).toFixed(6)));
  return STRIDE * Math.max(0, Math.ceil((frames - 1) / STRIDE)) + 1;
}

/** The frame that a picture snaps to at a share of the strip, 0 to 1: the model's own places. */
export function frameAt(share, frames) {
  const last = Math.max(0, (frames - 1) / STRIDE);
  return STRIDE * Math.round(Math.min(1, Math.max(0, share)) * last);
}

/** The usual sizes that a model can make, and its own. */
export function sizesOf({ multiple, width, height }) {
  const fits = SIZES.filter((sides) => sides.every((side) => side % multiple === 0));
  return fits.some(([across, down]) => across === width && down === height) ? fits : [[width, height], ...fits];
}

/** "wide", "square" or "tall". */
export function shapeOf(width, height) {
  return width === height ? "square" : width > height ? "wide" : "tall";
}

/** 0.28 -> "0.3 s", 45.2 -> "45 s", 125 -> "2 min 5 s", 4000 -> "1 h 7 min". */
export function duration(seconds) {
  if (seconds < 9.95) return `${trimmed(seconds, 1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return joined(Math.floor(whole / 60), "min", whole % 60, "s");
  const minutes = Math.round(whole / 60);
  return joined(Math.floor(minutes / 60), "h", minutes % 60, "min");
}

/** What is left, which nobody knows to the second; "" where that is next to nothing. */
export function left(seconds) {
  return seconds >= 2 ? `about ${duration(Math.round(seconds))}` : "";
}

/** When something was, `then` and `now` in seconds since 1970. */
export function ago(then, now) {
  const passed = now - then;
  if (passed < 60) return "just now";
  if (passed < 3600) return `${Math.floor(passed / 60)} min ago`;
  const [date, today] = [new Date(then * 1000), new Date(now * 1000)];
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  if (date.toDateString() === today.toDateString()) return `today ${time}`;
  today.setDate(today.getDate() - 1);
  if (date.toDateString() === today.toDateString()) return `yesterday ${time}`;
  return `${date.toLocaleDateString([], { day: "numeric", month: "short", year: "numeric" })}, ${time}`;
}

/** 0 -> "Next in line", 2 -> "2 before it". */
export function place(before) {
  return before === 0 ? "Next in line" : `${before} before it`;
}

/** Of bytes: "18.2 of 24 GiB". */
export function memory(used, total) {
  return `${trimmed(used / 2 ** 30, 1)} of ${trimmed(total / 2 ** 30, 1)} GiB`;
}

/** 4.8400 -> "4.84", 5.00 -> "5". */
export function trimmed(number, digits) {
  return String(Number(number.toFixed(digits)));
}

/** What the card is at, of a stage and its steps. */
export function stage(name, step, steps) {
  const shown = name ? name[0].toUpperCase() + name.slice(1) : "Starting";
  return steps > 0 ? `${shown}, step ${step} of ${steps}` : shown;
}

function joined(large, largeUnit, small, smallUnit) {
  return `${large} ${largeUnit}${small ? ` ${small} ${smallUnit}` : ""}`;
}
