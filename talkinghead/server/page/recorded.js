// Recording and broadcasting a live session, and what was recorded.
import { $, ask, attempt, element, notice } from "./api.js";
import { currentLanguage, say } from "./strings.js";

const LOOK_MS = 2000;

export function startRecorded() {
  let session = null, timer = 0, recordings = [];

  function press(id, isOn) {
    $(id).setAttribute("aria-pressed", String(isOn));
  }
  const isPressed = (id) => $(id).getAttribute("aria-pressed") === "true";

  function draw() {
    const items = recordings.map(({ key, anchor, created_s: created, duration_s: duration, missed_frames: missed }) => {
      const when = new Date(1000 * created).toLocaleString(currentLanguage() === "zh" ? "zh-CN" : "en");
      const parts = [when, `${duration.toFixed(1)} ${say("seconds")}`, ...(missed ? [`${missed} ${say("missed")}`] : [])];
      const remove = (event) => attempt(async () => { await ask(`/api/recorded/${key}`, { method: "DELETE" }); await refresh(); }, event.target);
      return element("li", {}, element("header", {}, element("h3", { textContent: anchor }), element("span", { className: "note", textContent: parts.join(" · ") })),
        element("video", { controls: true, preload: "metadata", src: `/api/recorded/${key}/video`, playsInline: true }),
        element("div", { className: "row buttons" },
          element("a", { className: "button", href: `/api/recorded/${key}/video?download`, textContent: say("download") }),
          element("button", { type: "button", textContent: say("remove"), onclick: remove })));
    });
    $("recorded").replaceChildren(...(items.length ? items : [element("li", { className: "empty", textContent: say("noRecordings") })]));
  }

  async function refresh() {
    recordings = (await ask("/api/recorded")).recordings;
    draw();
  }

  async function stopRecording(number) {
    press("live-record", false);
    await ask(`/api/sessions/${number}/record/stop`, { method: "POST" });
    await refresh();
  }

  $("live-record").addEventListener("click", (event) => attempt(async () => {
    if (isPressed("live-record")) return stopRecording(session.session);
    await ask(`/api/sessions/${session.session}/record`, { method: "POST" });
    return press("live-record", true);
  }, event.target));

  async function look() {
    if (!session || !isPressed("live-push")) return;
    const { is_pushed: isPushed, failure } = await ask(`/api/sessions/${session.session}/push`);
    if (!isPushed) press("live-push", false);
    if (failure) notice(`${say("pushFailed")}: ${failure}`);
    else timer = setTimeout(() => attempt(look), LOOK_MS);
  }

  $("live-push").addEventListener("click", (event) => attempt(async () => {
    const wasOn = isPressed("live-push");
    await ask(`/api/sessions/${session.session}/push${wasOn ? "/stop" : ""}`, { method: "POST" });
    press("live-push", !wasOn);
    await look();
  }, event.target));

  attempt(refresh);
  return {
    draw,
    // A session has begun, or ended (null): what was being recorded of it is kept.
    async follow(next) {
      const ended = session, wasRecording = isPressed("live-record");
      session = next;
      clearTimeout(timer);
      for (const id of ["live-record", "live-push"]) press(id, false);
      $("live-record").disabled = !session;
      $("live-push").hidden = !session?.can_push;
      $("live-hls").hidden = !session;
      if (session) $("live-hls").href = `/api/sessions/${session.session}/hls/live.m3u8`;
      if (ended && wasRecording) await stopRecording(ended.session);
    },
  };
}
