/** Translates English captions into German or French, and shows where each piece of the translation looked. */
import { element, fieldsOf, part } from "./element.js";
import { onSubmit } from "./notice.js";
import { askQuestion } from "./service.js";

/** @param {HTMLElement} panel */
export function startTranslation(panel) {
  const field = fieldsOf(panel);
  field("beams").addEventListener("input", () => {
    part(panel, "beams").textContent = field("beams").value;
  });
  onSubmit(panel, async () => {
    const question = {
      text: field("text").value,
      to: field("to").value,
      beams: Number(field("beams").value),
      attention: field("attention").checked,
    };
    const { translations } = await askQuestion("translate", question).catch(advise);
    show(panel, question.to, translations[0]);
  }, "answer");
}

/** The service advises sending a list if a text is too long, but this page takes none. */
function advise(error) {
  error.message = error.message.replace("send its sentences one by one, as a list", "translate its sentences one by one");
  throw error;
}

function show(panel, language, { text, score, attention }) {
  part(panel, "answer").hidden = false;
  const shown = part(panel, "translation");
  shown.lang = language;
  shown.textContent = text;
  part(panel, "score").textContent = `log-probability ${score.toFixed(3)} nats a piece`;
  part(panel, "attention").replaceChildren(...(attention ? [heatMap(attention)] : []));
}

function heatMap({ source, target, weights }) {
  const head = element("tr", {}, element("td", {}), ...source.map((piece) => element("th", { scope: "col" }, element("span", {}, seen(piece)))));
  const rows = target.map((piece, t) =>
    element("tr", {}, element("th", { scope: "row" }, seen(piece)), ...weights[t].map((weight, s) => cell(weight, piece, source[s]))),
  );
  const caption = element("figcaption", {}, "Where each piece of the translation (rows) looked in the English text (columns), %");
  const table = element("table", { class: "heat" }, element("thead", {}, head), element("tbody", {}, ...rows));
  return element("figure", {}, caption, element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Attention" }, table));
}

function cell(weight, target, source) {
  const share = Math.round(weight * 100);
  const made = element("td", { title: `${seen(target)} from ${seen(source)}: ${share} %` }, share >= 10 ? String(share) : "");
  made.style.setProperty("--share", `${share}%`);
  return made;
}

const seen = (piece) => (piece === "[END]" ? "end" : piece.replaceAll("▁", "")) || "▁";
