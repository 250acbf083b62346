/** Columns of numbers in what was pasted: CSV with or without a head, or numbers as they come. */
const SEPARATORS = [";", "\t", ","];
const DECIMAL_COMMA = /^([+-]?\d+),(\d+)$/;
const ONE_NUMBER = /^[+-]?\d+(,\d+)?$/;

/**
 * @typedef {object} Table
 * @property {{name: string, values: number[]}[]} columns Those that hold numbers and nothing else.
 * @property {{name: string, line: number}[]} flawed Those that hold numbers and, first in that line, something else.
 * @property {boolean} [isGuessed] Whether commas that may part columns were taken for decimal ones.
 */

/**
 * @param {string} text
 * @returns {Table}
 */
export function tableOf(text) {
  const rows = text.split(/\r?\n/).map((line, index) => ({ line: index + 1, cells: cellsOf(line) })).filter(({ cells }) => cells);
  if (!rows.length) return { columns: [], flawed: [] };
  if (mayBeOneColumn(text)) return { ...tableOf(text.replaceAll(",", ".")), isGuessed: true };
  if (rows.length === 1) return named(["readings"], rows[0].cells.map((cell) => ({ line: rows[0].line, cells: [cell] })));
  const [{ cells: first }, { cells: second }] = rows;
  const hasHead = first.some((cell) => !isNumber(cell)) && second.some(isNumber);
  const names = hasHead ? first : first.map(() => (first.length === 1 ? "readings" : ""));
  return named(names, hasHead ? rows.slice(1) : rows);
}

/** Whether lines are numbers with at most one comma, below a head of one name or none: 1,5 is rather one and a half than two columns. */
function mayBeOneColumn(text) {
  const lines = text.split(/\r?\n/).map((line) => line.trim()).filter(Boolean);
  const [first, ...others] = lines;
  const isHead = !SEPARATORS.some((each) => first.includes(each)) && !isNumber(first);
  const numbers = isHead ? others : lines;
  return lines.length > 1 && numbers.some((line) => line.includes(",")) && numbers.every((line) => ONE_NUMBER.test(line));
}

/** The cells of a line; null where there are none. A comma that separates nothing is a decimal one. */
function cellsOf(padded) {
  const line = padded.trimEnd();
  if (!line) return null;
  const bare = line.replace(/"[^"]*"/g, "");
  const separator = SEPARATORS.find((each) => bare.includes(each));
  if (!separator) return line.includes('"') ? [unquoted(line)] : line.trim().split(/\s+/);
  const cells = cut(line, separator).map(unquoted);
  return separator === "," ? cells : cells.map((cell) => cell.replace(DECIMAL_COMMA, "$1.$2"));
}

/** What stands between separators that do not stand between quotes. */
function cut(line, separator) {
  const pieces = line.split(separator);
  const cells = [];
  let open = null;
  for (const piece of pieces) {
    open = open === null ? piece : open + separator + piece;
    if (open.split('"').length % 2 === 0) continue;
    cells.push(open);
    open = null;
  }
  return open === null ? cells : [...cells, open];
}

const unquoted = (cell) => cell.trim().replace(/^"(.*)"$/, "$1");

function named(names, rows) {
  const columns = names.map((name, index) => columnOf(nameOf(names, name, index), rows, index));
  return {
    columns: columns.filter(({ line }) => line === null).map(({ name, values }) => ({ name, values })),
    flawed: columns.filter(({ line, values }) => line !== null && values.some(Number.isFinite)).map(({ name, line }) => ({ name, line })),
  };
}

function columnOf(name, rows, index) {
  const flaw = rows.find(({ cells }) => !isNumber(cells[index] ?? ""));
  return { name, line: flaw?.line ?? null, values: rows.map(({ cells }) => (isNumber(cells[index] ?? "") ? Number(cells[index]) : NaN)) };
}

/** A column's name, which no other has. */
function nameOf(names, name, index) {
  if (!name) return `column ${index + 1}`;
  return names.indexOf(name) === index ? name : `${name}, column ${index + 1}`;
}

const isNumber = (cell) => cell !== "" && Number.isFinite(Number(cell));
