// Making a video from a text or a recording.
import { $, ask, attempt, fileField } from "./api.js";
import { startBackground } from "./background.js";

export function startSpeak(jobs) {
  let recording = null;
  const background = startBackground("speak");
  fileField($("speak-drop"), $("speak-file"), $("speak-file-state"), (value) => { recording = value; });

  const number = (id) => ($(id).value.trim() === "" ? undefined : Number($(id).value));
  const speaking = () => Object.fromEntries(Object.entries({ speed: number("speak-speed"), pause_ms: number("speak-pause") })
    .filter(([, value]) => value !== undefined));

  function options() {
    const made = { intensity: number("speak-intensity"), lead_in: number("speak-lead-in"), lead_out: number("speak-lead-out"),
      aspect: $("speak-aspect").value, size: $("speak-size").value, quality: $("speak-quality").value,
      clip_range: $("speak-range").value.trim(), visible_label: $("speak-label").value.trim(),
      voice_is_anchor: $("speak-own").checked ? "yes" : "" };
    return Object.fromEntries(Object.entries(made).filter(([, value]) => value !== undefined && value !== ""));
  }

  $("speak-hear").addEventListener("click", (event) => attempt(async () => {
    const sound = await ask("/api/speech", { method: "POST", json: { text: $("speak-text").value, voice: $("speak-voice").value, speaking: speaking() } });
    const audio = $("speak-audio");
    URL.revokeObjectURL(audio.src);
    audio.src = URL.createObjectURL(sound);
    audio.hidden = false;
    await audio.play();
  }, event.target));

  $("speak-form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      const speech = recording ? { recording: recording.key, title: recording.name }
        : { text: $("speak-text").value, voice: $("speak-voice").value, speaking: speaking() };
      await ask("/api/videos", { method: "POST", json: { anchor: $("speak-anchor").value, options: options(), ...background(), ...speech } });
      recording = null;
      $("speak-file").value = "";
      $("speak-file-state").textContent = "";
      await jobs.refresh();
    }, event.submitter);
  });
}
