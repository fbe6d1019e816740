// Two videos side by side on one clock, their mouths enlarged.
import { $ } from "./api.js";
import { say } from "./strings.js";

export function startCompare() {
  const videos = [$("compare-a"), $("compare-b")];
  const canvases = [$("compare-mouth-a"), $("compare-mouth-b")];
  const chosen = [];

  function drawMouths() {
    videos.forEach((video, place) => {
      const job = chosen[place];
      if (!job || video.readyState < 2) return;
      const [x, y, width, height] = job.result?.mouth ?? [0.3, 0.45, 0.4, 0.3];
      const canvas = canvases[place];
      canvas.getContext("2d").drawImage(video, x * video.videoWidth, y * video.videoHeight,
        width * video.videoWidth, height * video.videoHeight, 0, 0, canvas.width, canvas.height);
    });
    const duration = videos[0].duration || 0;
    if (duration && document.activeElement !== $("compare-position"))
      $("compare-position").value = Math.round(1000 * videos[0].currentTime / duration);
    if (!$("compare").hidden) requestAnimationFrame(drawMouths);
  }

  // The first one's clock counts; the second follows it.
  function follow() {
    if (Math.abs(videos[1].currentTime - videos[0].currentTime) > 0.03) videos[1].currentTime = videos[0].currentTime;
  }

  $("compare-play").addEventListener("click", async () => {
    if (videos[0].paused) {
      follow();
      await Promise.all(videos.map((video) => video.play()));
    } else {
      videos.forEach((video) => video.pause());
      follow();
    }
    $("compare-play").textContent = say(videos[0].paused ? "play" : "pause");
  });
  videos[0].addEventListener("timeupdate", follow);
  videos[0].addEventListener("ended", () => { videos[1].pause(); $("compare-play").textContent = say("play"); });
  $("compare-position").addEventListener("input", (event) => {
    videos.forEach((video) => { video.currentTime = event.target.value / 1000 * (videos[0].duration || 0); });
  });
  $("compare-close").addEventListener("click", () => {
    videos.forEach((video) => video.pause());
    $("compare").hidden = true;
    chosen.length = 0;
  });

  return {
    // The last two that were asked for are compared.
    add(job) {
      if (chosen.length === 2) chosen.shift();
      chosen.push(job);
      videos.forEach((video, place) => {
        const one = chosen[Math.min(place, chosen.length - 1)];
        video.src = `/api/jobs/${one.number}/video`;
        video.parentElement.querySelector("figcaption").textContent = one.title;
      });
      if (chosen.length === 1) chosen.push(job);
      $("compare").hidden = false;
      $("compare").scrollIntoView({ block: "nearest" });
      requestAnimationFrame(drawMouths);
    },
  };
}
