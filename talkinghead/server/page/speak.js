// Making a video from a text or a recording.
import { $, ask, attempt, fileField } from "./api.js";

export function startSpeak(jobs) {
  let recording = null;
  fileField($("speak-drop"), $("speak-file"), $("speak-file-state"), (value) => { recording = value; });

  $("speak-hear").addEventListener("click", (event) => attempt(async () => {
    const sound = await ask("/api/speech", { method: "POST", json: { text: $("speak-text").value, voice: $("speak-voice").value } });
    const audio = $("speak-audio");
    URL.revokeObjectURL(audio.src);
    audio.src = URL.createObjectURL(sound);
    audio.hidden = false;
    await audio.play();
  }, event.target));

  $("speak-form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      const options = { intensity: Number($("speak-intensity").value) };
      if ($("speak-label").value.trim()) options.visible_label = $("speak-label").value.trim();
      if ($("speak-own").checked) options.voice_is_anchor = "yes";
      const speech = recording ? { recording: recording.key, title: recording.name }
        : { text: $("speak-text").value, voice: $("speak-voice").value };
      await ask("/api/videos", { method: "POST", json: { anchor: $("speak-anchor").value, options, ...speech } });
      recording = null;
      $("speak-file").value = "";
      $("speak-file-state").textContent = "";
      await jobs.refresh();
    }, event.submitter);
  });
}
