// The page: tabs, language, lists of anchors and voices, and the parts.
import { $, ask, attempt, element } from "./api.js";
import { noteMattes } from "./background.js";
import { startBatch } from "./batch.js";
import { startJobs } from "./jobs.js";
import { startLive } from "./live.js";
import { startSpeak } from "./speak.js";
import { currentLanguage, setLanguage } from "./strings.js";
import { startTrain } from "./train.js";

const tabs = [...document.querySelectorAll("[role=tab]")];

function show(tab) {
  for (const one of tabs) {
    const isShown = one === tab;
    one.setAttribute("aria-selected", String(isShown));
    one.tabIndex = isShown ? 0 : -1;
    $(one.getAttribute("aria-controls")).hidden = !isShown;
  }
  history.replaceState(null, "", `#${tab.getAttribute("aria-controls")}`);
}

for (const [number, tab] of tabs.entries()) {
  tab.addEventListener("click", () => show(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(number + step + tabs.length) % tabs.length];
    show(next);
    next.focus();
  });
}

export async function refreshAnchors() {
  const { anchors } = await ask("/api/anchors");
  for (const list of document.querySelectorAll("select.anchors")) {
    const chosen = list.value;
    list.replaceChildren(...anchors.map(({ name, voice }) => {
      const option = element("option", { value: name, textContent: name });
      option.dataset.voice = voice || "";
      return option;
    }));
    if (anchors.some(({ name }) => name === chosen)) list.value = chosen;
  }
  noteMattes(anchors);
}

async function refreshVoices() {
  const { voices, default: first } = await ask("/api/voices");
  for (const list of document.querySelectorAll("select.voices")) {
    list.replaceChildren(...voices.map(({ name, language, description }) =>
      element("option", { value: name, textContent: `${name} (${language})`, title: description })));
    list.value = first;
    list.dataset.first = first;
  }
}

// An anchor brings its voice; another one may be chosen after that.
function useVoiceOf(part) {
  const [chosen] = $(`${part}-anchor`).selectedOptions;
  if (chosen) $(`${part}-voice`).value = chosen.dataset.voice || $(`${part}-voice`).dataset.first;
}

setLanguage(currentLanguage());
$("language").value = currentLanguage();
const jobs = startJobs(refreshAnchors);
$("language").addEventListener("change", () => { setLanguage($("language").value); jobs.draw(); jobs.refresh(); training.redraw(); live.draw(); });
startSpeak(jobs);
startBatch(jobs);
const training = startTrain(jobs);
const live = startLive();
show(tabs.find((tab) => `#${tab.getAttribute("aria-controls")}` === location.hash) || tabs[0]);
for (const part of ["speak", "live"]) $(`${part}-anchor`).addEventListener("change", () => useVoiceOf(part));
attempt(async () => { await Promise.all([refreshAnchors(), refreshVoices()]); useVoiceOf("speak"); useVoiceOf("live"); document.body.dataset.ready = "yes"; });
