/** Words with their parts of speech, or with the entities that they belong to. */
import { element, fieldsOf, part } from "./element.js";
import { onSubmit } from "./notice.js";
import { askQuestion } from "./service.js";

const NAMES = {
  ADJ: "adjective", ADP: "adposition", ADV: "adverb", AUX: "auxiliary", CCONJ: "coordinating conjunction", DET: "determiner",
  INTJ: "interjection", NOUN: "noun", NUM: "numeral", PART: "particle", PRON: "pronoun", PROPN: "proper noun",
  PUNCT: "punctuation", SCONJ: "subordinating conjunction", SYM: "symbol", VERB: "verb", X: "other",
};
const HUES = {
  NOUN: 205, PROPN: 180, PRON: 235, VERB: 20, AUX: 40, ADJ: 140, ADV: 95, NUM: 320, DET: 265, ADP: 290,
  person: 20, location: 140, corporation: 205, group: 265, product: 320, "creative-work": 60,
};

/** @param {HTMLElement} panel */
export function startTagging(panel) {
  const field = fieldsOf(panel);
  onSubmit(panel, async () => {
    const text = field("text").value;
    const { results } = await askQuestion("tag", { text, model: field("model").value });
    const [{ tokens, entities }] = results;
    part(panel, "words").replaceChildren(...(entities ? withEntities(text, entities) : withTags(text, tokens)));
    part(panel, "words").hidden = false;
  }, "words");
}

function withTags(text, tokens) {
  return spread(text, tokens, ({ token, tag, probability }) =>
    tag === "PUNCT" ? token : word(token, tag, `${NAMES[tag] ?? tag}, ${sure(probability)}`));
}

function withEntities(text, entities) {
  if (!entities.length) return [text, element("p", { class: "hint" }, "No entities were found.")];
  return spread(text, entities, ({ kind, text: name }) => word(name, kind, kind));
}

/** The text with the marked pieces in place. Places count code points, while a string here counts UTF-16 units. */
function spread(text, marked, draw) {
  const characters = [...text];
  const drawn = [];
  let at = 0;
  for (const each of marked) {
    const between = characters.slice(at, each.start).join("");
    // A word joiner keeps what follows without a blank, such as a full stop, on the same line.
    drawn.push(between || (at ? "\u2060" : ""), draw(each));
    at = each.end;
  }
  return [...drawn, characters.slice(at).join("")];
}

function word(text, tag, title) {
  const made = element("span", { class: "word", title }, element("b", {}, text), element("small", {}, tag));
  if (tag in HUES) made.style.setProperty("--hue", HUES[tag]);
  else made.classList.add("plain");
  return made;
}

const sure = (probability) => `${Math.round(probability * 100)} % sure`;
