/** A digit drawn by hand, and a sentence that describes it. */
import { element, part } from "./element.js";
import { attempt, say } from "./notice.js";
import { askQuestion } from "./service.js";

const PEN_SHARE = 0.085;
const INK = "#1d1c1a";
const WHITE = "#ffffff";
/** Strokes of examples, in hundredths of the paper's width and height. */
const EXAMPLES = {
  0: [[[50, 14], [34, 20], [27, 36], [26, 60], [34, 80], [50, 87], [66, 80], [74, 60], [73, 36], [65, 20], [50, 14]]],
  3: [[[30, 20], [46, 13], [62, 17], [67, 30], [60, 43], [46, 48], [62, 53], [69, 66], [64, 81], [48, 88], [30, 82]]],
  4: [[[58, 12], [44, 34], [27, 62], [76, 62]], [[60, 38], [60, 90]]],
  7: [[[27, 16], [50, 15], [74, 15], [60, 42], [48, 66], [41, 88]]],
};

/** @param {HTMLElement} panel */
export function startCaption(panel) {
  const paper = new Paper(part(panel, "paper"));
  const look = () => attempt(part(panel, "go"), part(panel, "notice"), () => describe(panel, paper), part(panel, "answer"));
  paper.onStroke = look;
  part(panel, "go").addEventListener("click", look);
  part(panel, "clear").addEventListener("click", () => {
    paper.clear();
    say(part(panel, "notice"));
    part(panel, "caption").textContent = "";
    part(panel, "pixels").replaceChildren();
  });
  for (const digit of Object.keys(EXAMPLES)) {
    const draw = () => {
      paper.clear();
      paper.trace(EXAMPLES[digit]);
      look();
    };
    part(panel, "examples").append(element("button", { type: "button", "aria-label": `Draw the digit ${digit}`, onclick: draw }, digit));
  }
}

/** Ask about the drawing, and ask again if it has changed meanwhile, so that the answer is about what is seen. */
async function describe(panel, paper) {
  let image;
  do {
    image = paper.image;
    const answer = await askQuestion("caption", { image });
    if (image === paper.image) return show(panel, answer);
  } while (!paper.isBlank);
}

/** Paper to draw on. */
class Paper {
  #canvas;
  #pen;
  #isDown = false;
  isBlank = true;

  /** @type {() => void} Called after every stroke. */
  onStroke = () => {};

  constructor(canvas) {
    this.#canvas = canvas;
    this.#pen = canvas.getContext("2d");
    this.clear();
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.#isDown = true;
      this.#begin(this.#at(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (this.#isDown) this.#lineTo(this.#at(event));
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, () => {
        if (this.#isDown) this.onStroke();
        this.#isDown = false;
      });
    }
  }

  /** @returns {string} A PNG file, as a data URL. */
  get image() {
    return this.#canvas.toDataURL("image/png");
  }

  clear() {
    this.isBlank = true;
    this.#pen.fillStyle = WHITE;
    this.#pen.fillRect(0, 0, this.#canvas.width, this.#canvas.height);
  }

  trace(strokes) {
    const scaled = ([x, y]) => [(x / 100) * this.#canvas.width, (y / 100) * this.#canvas.height];
    for (const [first, ...rest] of strokes) {
      this.#begin(scaled(first));
      for (const point of rest) this.#lineTo(scaled(point));
    }
  }

  #at({ offsetX, offsetY }) {
    const scale = this.#canvas.width / this.#canvas.clientWidth;
    return [offsetX * scale, offsetY * scale];
  }

  #begin([x, y]) {
    this.isBlank = false;
    Object.assign(this.#pen, { strokeStyle: INK, lineWidth: this.#canvas.width * PEN_SHARE, lineCap: "round", lineJoin: "round" });
    this.#pen.beginPath();
    this.#pen.moveTo(x, y);
    this.#lineTo([x, y]);
  }

  #lineTo([x, y]) {
    this.#pen.lineTo(x, y);
    this.#pen.stroke();
  }
}

function show(panel, { caption, pixels }) {
  part(panel, "answer").hidden = false;
  part(panel, "caption").textContent = caption;
  const darkest = Math.max(...pixels.flat());
  part(panel, "pixels").replaceChildren(...pixels.flat().map((pixel) => {
    const made = element("i", {});
    made.style.setProperty("--share", `${Math.round((pixel / darkest) * 100)}%`);
    return made;
  }));
}
