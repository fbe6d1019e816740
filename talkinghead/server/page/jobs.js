// The lists of videos and trainings, kept up to date.
import { $, ask, attempt, element } from "./api.js";
import { startCompare } from "./compare.js";
import { currentLanguage, say } from "./strings.js";

const BUSY_MS = 700;
const QUIET_MS = 4000;

export function startJobs(whenAnchorsChange) {
  let jobs = [];
  let timer = 0;
  const drawn = new Map(); // number -> [what was drawn, its element]
  const pictures = new Map(); // number -> its element
  const compare = startCompare();

  const duration = (seconds) =>
    seconds >= 90 ? `${Math.round(seconds / 60)} min` : `${Math.max(1, Math.round(seconds))} ${say("seconds")}`;

  function note(job) {
    const { progress } = job;
    const parts = [say(job.state)];
    if (job.state === "running") {
      parts.push(progress.stage ? say(progress.stage) : progress.count ? `${progress.done}/${progress.count} ${say("frames")}` : say("preparing"));
      if (progress.quality) parts.push(`${say(progress.word)} (${progress.quality.mouth_psnr_db.toFixed(1)} dB)`);
      if (progress.seconds_left) parts.push(`${say("about")} ${duration(progress.seconds_left)} ${say("left")}`);
    }
    if (job.state === "done" && job.result?.frames_passed_through)
      parts.push(`${job.result.frames_passed_through} ${say("passedThrough")}`);
    return parts.join(" · ");
  }

  const act = (job, action, method = "POST") => (event) =>
    attempt(async () => { await ask(`/api/jobs/${job.number}${action}`, { method }); await refresh(); }, event.target);

  // One element a job, so that a newer picture takes the place of the one before without a flash.
  function picture(job) {
    const image = pictures.get(job.number) ?? element("img");
    pictures.set(job.number, image);
    image.alt = say(job.kind === "train" ? "trueAbove" : "inTheMaking");
    const source = `/api/jobs/${job.number}/picture?at=${job.picture_at}`;
    if (image.dataset.source !== source) {
      image.dataset.source = source;
      const next = new Image();
      next.onload = () => { if (image.dataset.source === source) image.src = source; };
      next.src = source;
    }
    return image;
  }

  function draw(job) {
    const item = element("li", { id: `job-${job.number}` });
    item.dataset.state = job.state;
    const head = element("header", {}, element("h3", { textContent: job.title }),
      element("span", { className: "note", textContent: job.anchor && job.anchor !== job.title ? job.anchor : "" }));
    item.append(head, element("p", { className: "note state", textContent: note(job) }));
    if (job.message) item.append(element("p", { className: "note bad", textContent: job.message }));
    if (job.state === "running" || job.state === "waiting") {
      const bar = element("progress", { max: 1 });
      bar.setAttribute("aria-label", job.title);
      if (job.state === "waiting") bar.value = 0;
      else if (job.progress.share != null) bar.value = job.progress.share;
      item.append(bar);
    }
    if (job.has_video && job.state === "done") {
      const video = element("video", { controls: true, preload: "metadata", src: `/api/jobs/${job.number}/video`, playsInline: true });
      item.append(video);
    }
    if (job.has_picture) item.append(picture(job));
    if (job.result?.verdict) item.append(element("p", { className: "verdict", textContent: job.result.verdict }));
    if (job.result?.limits?.length)
      item.append(element("p", { className: "note", textContent: `${say("limitedBy")}: ${job.result.limits.join("; ")}.` }));
    const buttons = element("div", { className: "row buttons" });
    if (job.has_video && job.state === "done") {
      buttons.append(element("a", { className: "button", href: `/api/jobs/${job.number}/video?download`, textContent: say("download") }));
      buttons.append(element("button", { type: "button", textContent: say("compareWith"), onclick: () => compare.add(job) }));
    }
    if (job.state === "running" || job.state === "waiting")
      buttons.append(element("button", { type: "button", textContent: say("stop"), onclick: act(job, "/stop") }));
    if (job.state === "interrupted" || job.state === "failed")
      buttons.append(element("button", { type: "button", textContent: say("resume"), onclick: act(job, "/resume") }));
    if (job.state !== "running")
      buttons.append(element("button", { type: "button", textContent: say("remove"), onclick: act(job, "", "DELETE") }));
    item.append(buttons);
    return item;
  }

  // A list keeps the elements of jobs that have not changed: a video goes on playing.
  function fill(list, kind, empty) {
    const shown = jobs.filter((job) => job.kind === kind && !job.settings.batch);
    const items = shown.map((job) => {
      const state = JSON.stringify(job) + say("done");
      const known = drawn.get(job.number);
      if (known && known[0] === state) return known[1];
      const item = draw(job);
      drawn.set(job.number, [state, item]);
      return item;
    });
    if (!items.length) items.push(element("li", { className: "empty", textContent: say(empty) }));
    const before = [...list.children];
    if (items.length !== before.length || items.some((item, place) => item !== before[place])) list.replaceChildren(...items);
  }

  function drawBatch(key) {
    const members = jobs.filter((job) => job.settings.batch?.key === key).reverse();
    const done = members.filter((job) => job.state === "done").length;
    const rest = members.filter((job) => job.state === "waiting" || job.state === "running");
    const rows = members.map((job) => {
      const share = job.state === "running" && job.progress.share != null ? ` ${Math.round(100 * job.progress.share)} %` : "";
      const row = element("tr", {}, element("td", { textContent: job.title }), element("td", { textContent: job.anchor }),
        element("td", { className: job.state === "failed" ? "bad" : "", textContent: `${say(job.state)}${share}${job.message ? `: ${job.message}` : ""}` }),
        element("td", {}, job.has_video && job.state === "done"
          ? element("a", { href: `/api/jobs/${job.number}/video?download`, textContent: say("download") }) : ""));
      row.dataset.state = job.state;
      return row;
    });
    const item = element("li", {}, element("header", {}, element("h3", { textContent: members[0].settings.batch.name }),
      element("span", { className: "note", textContent: `${say("done")}: ${done} ${say("ofThem")} ${members.length}` })),
    element("table", {}, element("tbody", {}, ...rows)));
    const all = (action, method, some) => (event) => attempt(async () => {
      for (const job of some) await ask(`/api/jobs/${job.number}${action}`, { method });
      await refresh();
    }, event.target);
    item.append(element("div", { className: "row buttons" }, rest.length
      ? element("button", { type: "button", textContent: say("stopRest"), onclick: all("/stop", "POST", rest) })
      : element("button", { type: "button", textContent: say("remove"), onclick: all("", "DELETE", members) })));
    return item;
  }

  function drawBatches() {
    const keys = [...new Set(jobs.map((job) => job.settings.batch?.key).filter(Boolean))];
    const state = JSON.stringify(jobs.filter((job) => job.settings.batch)) + say("done");
    if ($("batches").dataset.state === state) return;
    $("batches").dataset.state = state;
    $("batches").replaceChildren(...keys.map(drawBatch));
  }

  function drawAll() {
    drawBatches();
    fill($("videos"), "speak", "noVideos");
    fill($("trainings"), "train", "noTrainings");
  }

  async function refresh() {
    clearTimeout(timer);
    try {
      const made = jobs.filter((job) => job.kind === "train" && job.state === "done").length;
      jobs = (await ask(`/api/jobs?language=${currentLanguage()}`)).jobs;
      if (jobs.filter((job) => job.kind === "train" && job.state === "done").length !== made) whenAnchorsChange();
      drawAll();
    } catch { /* asked again below */ }
    const isBusy = jobs.some((job) => job.state === "running" || job.state === "waiting");
    timer = setTimeout(refresh, isBusy ? BUSY_MS : QUIET_MS);
  }

  refresh();
  return { refresh, draw: drawAll };
}
