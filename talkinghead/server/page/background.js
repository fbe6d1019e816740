// What is behind the anchor: its clip's own background, or another one.
import { $, fileField } from "./api.js";

const withMatte = new Set();

// Anchors that are cut out already.
export function noteMattes(anchors) {
  withMatte.clear();
  for (const { name, has_matte: hasMatte } of anchors) if (hasMatte) withMatte.add(name);
  document.dispatchEvent(new Event("mattes"));
}

// The fields of one part of the page; gives what they ask for, as the server takes it.
export function startBackground(part) {
  let file = null;
  const chosen = $(`${part}-background`), anchor = $(`${part}-anchor`);

  function show() {
    $(`${part}-color-label`).hidden = chosen.value !== "color";
    if ($(`${part}-picture-label`)) $(`${part}-picture-label`).hidden = chosen.value !== "file";
    $(`${part}-background-hint`).hidden = !chosen.value || withMatte.has(anchor.value);
  }
  for (const field of [chosen, anchor]) field.addEventListener("change", show);
  document.addEventListener("mattes", show);
  if ($(`${part}-picture`))
    fileField($(`${part}-background-row`), $(`${part}-picture`), $(`${part}-picture-state`), (value) => {
      file = value;
      if (value) chosen.value = "file";
      show();
    });

  return () => {
    if (chosen.value === "color") return { background: $(`${part}-color`).value };
    if (chosen.value === "transparent") return { background: "transparent" };
    return chosen.value === "file" && file ? { background_file: file.key } : {};
  };
}
