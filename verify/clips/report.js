"use strict";
// Keeps the clips of each case in step, and says in <body data-*> what could be read, for tests.
(() => {
  const body = document.body;
  let errors = 0;
  addEventListener("error", () => { body.dataset.errors = ++errors; });
  body.dataset.errors = 0;

  const cases = [...document.querySelectorAll(".case")].map((section) => {
    const videos = [...section.querySelectorAll("video")];
    const fps = Number(section.dataset.fps), frames = Number(section.dataset.frames);
    const button = section.querySelector(".play"), range = section.querySelector("input");
    const output = section.querySelector("output");
    const charts = [...section.querySelectorAll(".chart")];
    const one = { playing: false };

    const show = (frame) => {
      range.value = frame;
      output.textContent = `frame ${frame} of ${frames - 1}`;
      for (const chart of charts) {
        const { left, right } = chart.dataset;
        const x = Number(left) + (right - left) * frame / Math.max(1, frames - 1);
        const cursor = chart.querySelector(".cursor");
        cursor.setAttribute("x1", x);
        cursor.setAttribute("x2", x);
      }
    };
    // The middle of a frame's time: an edge may round to the frame before.
    const seek = (frame) => {
      frame = Math.min(frames - 1, Math.max(0, frame));
      for (const video of videos) video.currentTime = (frame + 0.5) / fps;
      show(frame);
    };
    const tick = () => {
      if (!one.playing) return;
      const [lead, ...rest] = videos;
      if (lead.ended || lead.currentTime >= frames / fps - 0.001) {
        if (!document.getElementById("loop").checked) { one.pause(); return; }
        for (const video of videos) { video.currentTime = 0; video.play(); }
      } else {
        for (const video of rest) {
          if (Math.abs(video.currentTime - lead.currentTime) > 0.6 / fps) {
            video.currentTime = lead.currentTime;
          }
        }
      }
      show(Math.min(frames - 1, Math.floor(lead.currentTime * fps)));
      requestAnimationFrame(tick);
    };
    one.play = () => {
      const rate = Number(document.getElementById("speed").value);
      if (Number(range.value) >= frames - 1) seek(0);
      for (const video of videos) {
        video.playbackRate = rate;
        video.currentTime = videos[0].currentTime;
        video.play();
      }
      one.playing = true;
      button.textContent = "Pause";
      requestAnimationFrame(tick);
    };
    one.pause = () => {
      one.playing = false;
      button.textContent = "Play";
      for (const video of videos) video.pause();
      label();
    };
    one.speed = (rate) => { for (const video of videos) video.playbackRate = rate; };

    button.addEventListener("click", () => { one.playing ? one.pause() : one.play(); label(); });
    range.addEventListener("input", () => { one.pause(); seek(Number(range.value)); });
    for (const step of section.querySelectorAll(".step")) {
      step.addEventListener("click", () => {
        one.pause();
        seek(Number(range.value) + Number(step.dataset.by));
      });
    }
    for (const chart of charts) {
      chart.addEventListener("click", (event) => {
        const { left, right, width } = chart.dataset, box = chart.getBoundingClientRect();
        const x = (event.clientX - box.left) / box.width * width;
        one.pause();
        seek(Math.round((x - left) / (right - left) * (frames - 1)));
      });
    }
    return one;
  });

  const all = document.getElementById("all");
  const label = () => { all.textContent = cases.some((c) => c.playing) ? "Pause all" : "Play all"; };
  all.addEventListener("click", () => {
    const playing = cases.some((c) => c.playing);
    for (const one of cases) playing ? one.pause() : one.play();
    label();
  });
  document.getElementById("speed").addEventListener("change", (event) => {
    for (const one of cases) one.speed(Number(event.target.value));
  });

  const videos = [...document.querySelectorAll("video")];
  let settled = 0, readable = 0;
  const settle = (well) => {
    readable += well;
    body.dataset.readable = readable;
    body.dataset.ready = ++settled >= videos.length ? "yes" : "no";
  };
  body.dataset.videos = videos.length;
  for (const video of videos) {
    const known = () => settle(video.videoWidth > 0 && video.duration > 0);
    if (video.readyState >= 1) known();
    else if (video.error) settle(false);
    else {
      video.addEventListener("loadedmetadata", known, { once: true });
      video.addEventListener("error", () => settle(false), { once: true });
    }
  }
})();
