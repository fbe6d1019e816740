// Making an anchor from a clip.
import { $, ask, attempt, element, fileField } from "./api.js";
import { say } from "./strings.js";

export function startTrain(jobs) {
  let clip = null;

  function findings(value) {
    const list = $("train-findings");
    list.replaceChildren();
    if (!value) return;
    const shown = value.findings ?? [{ state: "ok", value: `${value.width} × ${value.height}, ${value.frame_rate.toFixed(2)} fps` },
      ...(value.has_audio ? [] : [{ state: "remark", value: say("noSound") }])];
    for (const one of shown)
      list.append(element("li", { className: one.state, textContent: [one.name, one.value, one.advice].filter(Boolean).join(": ") }));
  }

  fileField($("train-drop"), $("train-file"), $("train-file-state"), (value) => {
    clip = value;
    findings(value);
    if (value && !$("train-name").value) $("train-name").value = value.name.replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N}_ .-]/gu, "").slice(0, 64);
  });

  $("train-form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      if (!clip) throw new Error(say("dropClip"));
      await ask("/api/trainings", { method: "POST", json: {
        clip: clip.key, name: $("train-name").value, consent: $("train-consent").value, minutes: Number($("train-minutes").value) } });
      await jobs.refresh();
    }, event.submitter);
  });
}
