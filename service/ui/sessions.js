/** The caller's sessions: lists them, shows each one, and ends them. */
import { element, part } from "./element.js";
import { noteEnded, opened } from "./memory.js";
import { attempt } from "./notice.js";
import { ask, isEnded } from "./service.js";
import { Session } from "./session.js";

const PAGE = 20;
/** Sequences under a client's own id number their steps from the clock's milliseconds, so these numbers do not count steps. */
const FROM_THE_CLOCK = 1e12;

/** @param {HTMLElement} panel @param {import("./models.js").Models} models */
export function startSessions(panel, models) {
  const notice = part(panel, "notice");
  const rows = part(panel, "rows");
  let following = null;

  /** Show what the rows leave: the table around them, the button for more, or that there are none. */
  const showRest = () => {
    const isEmpty = rows.childElementCount === 0;
    part(panel, "more").hidden = !following;
    part(panel, "empty").hidden = !isEmpty || Boolean(following);
    part(panel, "table").hidden = isEmpty;
  };

  const show = async (page) => {
    const isFirst = page !== following;
    let { sessions, next } = await page();
    while (sessions.length === 0 && next) ({ sessions, next } = await next());
    const ids = opened();
    const made = sessions.map((view) => row(view, models, ids.has(view.session_id), notice, showRest));
    if (isFirst) rows.replaceChildren(...made);
    else rows.append(...made);
    following = next;
    showRest();
  };

  const own = part(panel, "own");
  const first = () => (own.checked ? ownPage([...opened()].reverse()) : callersPage(""));
  const refresh = () => attempt(part(panel, "refresh"), notice, async () => {
    let isOwn;
    do {
      isOwn = own.checked;
      await show(first);
    } while (isOwn !== own.checked); // changed meanwhile
  }, part(panel, "table"));
  part(panel, "refresh").addEventListener("click", refresh);
  own.addEventListener("change", refresh);
  part(panel, "more").addEventListener("click", (event) => attempt(event.currentTarget, notice, () => show(following)));
  return { refresh };
}

/** A page of these sessions, each looked up by its id: a listing might have a million others. */
async function ownPage(ids) {
  const views = await Promise.all(ids.slice(0, PAGE).map(lookedAt));
  const rest = ids.slice(PAGE);
  return { sessions: views.filter(Boolean), next: rest.length ? () => ownPage(rest) : null };
}

/** A page of all the caller's sessions. */
async function callersPage(after) {
  const { sessions, next } = await ask(`sessions?limit=${PAGE}${after && `&after=${encodeURIComponent(after)}`}`);
  return { sessions, next: next && (() => callersPage(next)) };
}

/** The service's view of a session, null if it is over. */
async function lookedAt(id) {
  try {
    return await ask(`sessions/${id}`);
  } catch (error) {
    if (!isEnded(error)) throw error;
    noteEnded(id);
    return null;
  }
}

function row(view, models, isOwn, notice, onDelete) {
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
    element("td", { "data-label": "Steps" }, step < FROM_THE_CLOCK ? String(step) : "—"),
    element("td", { "data-label": "State" }, models.stateSize(model)),
    element("td", { "data-label": "Ends, if not used" }, new Date(expires).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })),
    element("td", {}, element("div", { class: "buttons" }, look, end)),
  );
  end.addEventListener("click", () => attempt(end, notice, async () => {
    await new Session(view).end();
    made.remove();
    onDelete();
  }));
  return made;
}
