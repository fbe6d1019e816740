// Making an anchor from a clip, which is checked first.
import { $, ask, attempt, element, fileField } from "./api.js";
import { currentLanguage, say } from "./strings.js";

const SUMMARY = { ok: "fit", remark: "fitWithRemarks", problem: "unfit" };

export function startTrain(jobs) {
  let clip = null, checked = null;

  // Nothing is started before the check has ended, and where there are problems, not without the box.
  function settle() {
    const isUnfit = checked?.state === "problem";
    $("train-despite-label").hidden = !isUnfit;
    if (!isUnfit) $("train-despite").checked = false;
    $("train-start").disabled = !clip || !checked || (isUnfit && !$("train-despite").checked);
  }

  const row = ({ state, name, value, advice }) =>
    element("li", { className: state, textContent: `${[name, value].filter(Boolean).join(": ")}${state !== "ok" && advice ? ` – ${advice}` : ""}` });

  function show() {
    const list = $("train-findings");
    if (!clip) return list.replaceChildren();
    if (!checked) return list.replaceChildren(element("li", { className: "busy", textContent: say("checking") }));
    const order = ["problem", "remark", "ok"];
    const found = [...checked.findings].sort((one, other) => order.indexOf(one.state) - order.indexOf(other.state));
    return list.replaceChildren(element("li", { className: checked.state, textContent: say(SUMMARY[checked.state] ?? "unfit") }), ...found.map(row));
  }

  async function check() {
    const asked = clip;
    checked = null;
    show();
    settle();
    if (!asked) return;
    let found;
    try {
      found = await ask(`/api/uploads/clips/${asked.key}/check?language=${currentLanguage()}`);
    } catch (error) {
      found = { state: "problem", findings: [{ state: "problem", value: error.message }] };
    }
    if (clip !== asked) return; // another one was chosen meanwhile
    checked = found;
    show();
    settle();
  }

  fileField($("train-drop"), $("train-file"), $("train-file-state"), (value) => {
    clip = value;
    if (value && !$("train-name").value) $("train-name").value = value.name.replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N}_ .-]/gu, "").slice(0, 64);
    check();
  });
  $("train-despite").addEventListener("change", settle);

  $("train-form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      if (!clip) throw new Error(say("dropClip"));
      await ask("/api/trainings", { method: "POST", json: {
        clip: clip.key, name: $("train-name").value, consent: $("train-consent").value, minutes: Number($("train-minutes").value),
        despite_problems: $("train-despite").checked } });
      await jobs.refresh();
    }, event.submitter).then(settle);
  });
  return { redraw: () => (clip ? check() : undefined) };
}
