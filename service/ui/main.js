/** The page: learns what is served, has a panel for each question, and resumes this browser's sessions. */
import { startCaption } from "./caption.js";
import { startForecast } from "./forecast.js";
import { startGeneration } from "./generation.js";
import { askForKey, key, offerToLeave } from "./key.js";
import { forgetAll, keep } from "./memory.js";
import { Models } from "./models.js";
import { startMusic } from "./music.js";
import { say, showProblem } from "./notice.js";
import { startSentiment } from "./sentiment.js";
import { address, ask, isPassing, refusals } from "./service.js";
import { startSessions } from "./sessions.js";
import { startTabs } from "./tabs.js";
import { startTagging } from "./tagging.js";
import { startTranslation } from "./translation.js";

const byId = (id) => document.getElementById(id);
const RETRY_MS = 1000;
const ASKS_AT_ONCE = new Set(["music", "forecast", "translation", "tagging"]);

let retry = 0;
const models = new Models();
const sentiment = startSentiment(byId("sentiment"), models);
const generation = startGeneration(byId("generation"), models);
const sessions = startSessions(byId("sessions"), models);
startTagging(byId("tagging"));
startTranslation(byId("translation"));
startForecast(byId("forecast"), models);
startMusic(byId("music"));
startCaption(byId("caption"));

/** Learn what is served, and resume what this browser had begun. Try again if the service does not answer yet. */
async function begin() {
  const notice = byId("start-notice");
  try {
    await models.load();
  } catch (error) {
    clearTimeout(retry);
    if (isPassing(error)) retry = setTimeout(begin, RETRY_MS);
    return error.status === 401 && !key() ? say(notice) : showProblem(notice, error);
  }
  say(notice);
  offerToLeave(byId("leave"), forgetAll);
  models.greyOut(document);
  await Promise.all([resume(sentiment, "sentiment"), resume(generation, "generation")]);
  document.body.dataset.state = "ready";
  look(shown());
}

/** Resume what was kept. If another version of this page has kept it in a form of its own, begin with nothing. */
async function resume(panel, name) {
  try {
    await panel.resume();
  } catch {
    keep(name, null);
    await panel.resume();
  }
}

/** Go to the API page, which only one port has. Checked on click, since a check on load would log an error on the other port. */
async function visitApiPage(event) {
  event.preventDefault();
  try {
    await ask("", undefined, { method: "HEAD" });
    location.assign(address(""));
  } catch (error) {
    if (error.status !== 404) return showProblem(byId("start-notice"), error);
    byId("api-page").hidden = true;
    say(byId("start-notice"), "This port has no API page: the service’s first port has it (UNROLLED_PORT, 3000 unless it is set).");
  }
}

/** Ask a panel's prefilled question when it is first shown, so that there is something to look at. */
function look(name) {
  if (document.body.dataset.state !== "ready") return;
  if (name === "sessions") sessions.refresh();
  else if (ASKS_AT_ONCE.delete(name) && !byId(name).inert) byId(name).querySelector("form").requestSubmit();
}

const shown = () => document.querySelector('[role="tabpanel"]:not([hidden])').id;

byId("api-page").addEventListener("click", visitApiPage);
askForKey(byId("key-form"), refusals, begin);
startTabs(byId("tabs"), look);
begin();
