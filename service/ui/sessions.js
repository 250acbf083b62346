/** The caller's sessions: which there are, what each is, and their end. */
import { element, part } from "./element.js";
import { noteEnded, opened } from "./memory.js";
import { attempt } from "./notice.js";
import { ask } from "./service.js";

const PAGE = 50;
const MAX_PAGES = 20;

/** @param {HTMLElement} panel @param {import("./models.js").Models} models */
export function startSessions(panel, models) {
  const notice = part(panel, "notice");
  const rows = part(panel, "rows");
  let next = null;

  /** The next that there are to show; further pages too where all on one are of others, but not without an end. */
  const load = async (after) => {
    await loadPage(after);
    for (let pages = 1; pages < MAX_PAGES && next && rows.childElementCount === 0; pages++) await loadPage(next);
  };

  const loadPage = async (after) => {
    const page = await ask(`sessions?limit=${PAGE}${after ? `&after=${encodeURIComponent(after)}` : ""}`);
    const own = opened();
    const isOnly = part(panel, "own").checked;
    const shown = page.sessions.filter(({ session_id: id }) => !isOnly || own.has(id));
    const made = shown.map((view) => row(view, models, own.has(view.session_id), notice));
    if (after) rows.append(...made);
    else rows.replaceChildren(...made);
    next = page.next;
    part(panel, "more").hidden = !next;
    part(panel, "empty").hidden = rows.childElementCount > 0 || Boolean(next);
    part(panel, "table").hidden = rows.childElementCount === 0;
  };

  const refresh = () => attempt(part(panel, "refresh"), notice, () => load(null));
  part(panel, "refresh").addEventListener("click", refresh);
  part(panel, "own").addEventListener("change", refresh);
  part(panel, "more").addEventListener("click", (event) => attempt(event.currentTarget, notice, () => load(next)));
  return { refresh };
}

function row(view, models, isOwn, notice) {
  const { session_id: id, model, step, expires_at: expires } = view;
  const shown = element("pre", { hidden: true });
  const look = element("button", { type: "button" }, "Look");
  const end = element("button", { type: "button" }, "Delete");
  look.addEventListener("click", () => attempt(look, notice, async () => {
    shown.hidden = !shown.hidden;
    if (!shown.hidden) shown.textContent = JSON.stringify(await ask(`sessions/${id}`), null, 2);
  }));
  const made = element(
    "tr",
    { "data-session": id },
    element("td", { "data-label": "Session" }, element("code", {}, id), isOwn ? element("small", {}, " this browser’s") : "", shown),
    element("td", { "data-label": "Model" }, model),
    element("td", { "data-label": "Steps" }, String(step)),
    element("td", { "data-label": "State" }, models.stateSize(model)),
    element("td", { "data-label": "Idle until" }, new Date(expires).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })),
    element("td", { class: "buttons" }, look, end),
  );
  end.addEventListener("click", () => attempt(end, notice, async () => {
    await ask(`sessions/${id}`, undefined, { method: "DELETE" });
    noteEnded(id);
    made.remove();
  }));
  return made;
}
