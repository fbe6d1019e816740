// Requests to the server, and what every part of the page needs.
import { say } from "./strings.js";

export const $ = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export function notice(message) {
  $("notice").textContent = message;
  $("notice").hidden = !message;
}

export async function ask(path, { method = "GET", json, body, headers = {} } = {}) {
  const options = { method, headers: { ...headers }, body };
  if (json !== undefined) {
    options.body = JSON.stringify(json);
    options.headers["content-type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error(say("unreachable"));
  }
  if (answer.status === 401) {
    location.href = "/login";
    throw new Error("");
  }
  const isJson = (answer.headers.get("content-type") || "").includes("json");
  const value = isJson ? await answer.json() : answer.status === 204 ? null : await answer.blob();
  if (!answer.ok) throw Object.assign(new Error((isJson && value.error) || `${answer.status}`), { problems: isJson ? value.problems : undefined });
  return value;
}

// Do what a button asks for; what goes wrong is said at the top of the page.
export async function attempt(action, button) {
  notice("");
  if (button) button.disabled = true;
  try {
    return await action();
  } catch (error) {
    notice(error.message);
    return undefined;
  } finally {
    if (button) button.disabled = false;
  }
}

// Upload a file; `report` gets the share that has been sent.
export function upload(kind, file, report) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/uploads/${kind}`);
    request.setRequestHeader("x-file-name", encodeURIComponent(file.name));
    request.upload.onprogress = (event) => event.lengthComputable && report(event.loaded / event.total);
    request.onerror = () => reject(new Error(say("unreachable")));
    request.onload = () => {
      let value = {};
      try { value = JSON.parse(request.responseText); } catch { /* no JSON: the status is all there is */ }
      if (request.status === 201) resolve(value);
      else reject(new Error(value.error || `${request.status}`));
    };
    request.send(file);
  });
}

// A field for a file that is uploaded as soon as it is chosen or dropped.
export function fileField(drop, input, state, whenReady) {
  const take = (file) => file && attempt(async () => {
    state.textContent = `${say("uploading")} ${file.name}`;
    try {
      const value = await upload(drop.dataset.kind, file,
        (share) => { state.textContent = `${say("uploading")} ${file.name}: ${Math.round(100 * share)} %`; });
      state.textContent = `${value.name}: ${value.duration_s ? `${value.duration_s.toFixed(1)} ${say("seconds")}, ` : ""}${say("chosen")}`;
      whenReady(value);
    } catch (error) {
      state.textContent = "";
      input.value = "";
      whenReady(null);
      throw error;
    }
  });
  input.addEventListener("change", () => take(input.files[0]));
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take(event.dataTransfer.files[0]);
  });
}
