// Many videos of one table: the table and the recordings that it names are dropped together.
import { $, ask, attempt, element, notice, upload } from "./api.js";
import { say } from "./strings.js";

const isTable = (file) => /\.(csv|tsv|txt)$/i.test(file.name);

export function startBatch(jobs) {
  let files = [];

  function take(chosen) {
    files = [...chosen];
    $("batch-problems").replaceChildren();
    $("batch-state").textContent = files.map((file) => file.name).join(", ");
  }

  async function send() {
    const tables = files.filter(isTable);
    if (tables.length !== 1) throw new Error(say(tables.length ? "tables" : "noTable"));
    const recordings = {};
    for (const file of files.filter((one) => !isTable(one))) {
      $("batch-state").textContent = `${say("uploading")} ${file.name}`;
      const { key, name } = await upload("recordings", file, () => {});
      recordings[name] = key;
    }
    await ask("/api/batches", { method: "POST", json: { name: tables[0].name, table: await tables[0].text(), recordings } });
    take([]);
    $("batch-files").value = "";
    await jobs.refresh();
  }

  $("batch-files").addEventListener("change", () => take($("batch-files").files));
  const drop = $("batch-drop");
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take(event.dataTransfer.files);
  });

  $("batch-form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => {
      try {
        await send();
      } catch (error) {
        $("batch-problems").replaceChildren(...(error.problems ?? []).map((problem) =>
          element("li", { className: "problem", textContent: problem })));
        throw error;
      }
    }, event.submitter);
  });
}
