/** Columns of numbers in pasted text: CSV with or without a header, or bare numbers. */
const SEPARATORS = [";", "\t", ","];
const DECIMAL_COMMA = /^([+-]?\d+),(\d+)$/;
const ONE_NUMBER = /^[+-]?\d+(,\d+)?$/;

/**
 * @typedef {object} Table
 * @property {{name: string, values: number[]}[]} columns Those with nothing but numbers.
 * @property {{name: string, line: number}[]} flawed Those with numbers and something else, which first occurs in that line.
 * @property {boolean} [isGuessed] Whether commas that may separate columns were taken for decimal commas.
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

/** Whether all lines are numbers with at most one comma, below a header with one name or none: then 1,5 is more likely one and a half than two columns. */
function mayBeOneColumn(text) {
  const lines = text.split(/\r?\n/).map((line) => line.trim()).filter(Boolean);
  const [first, ...others] = lines;
  const isHead = !SEPARATORS.some((each) => first.includes(each)) && !isNumber(first);
  const numbers = isHead ? others : lines;
  return lines.length > 1 && numbers.some((line) => line.includes(",")) && numbers.every((line) => ONE_NUMBER.test(line));
}

/** The cells of a line; null if it is empty. A comma that is not the separator is a decimal comma. */
function cellsOf(padded) {
  const line = padded.trimEnd();
  if (!line) return null;
  const bare = line.replace(/"[^"]*"/g, "");
  const separator = SEPARATORS.find((each) => bare.includes(each));
  if (!separator) return line.includes('"') ? [unquoted(line)] : line.trim().split(/\s+/);
  const cells = cut(line, separator).map(unquoted);
  return separator === "," ? cells : cells.map((cell) => cell.replace(DECIMAL_COMMA, "$1.$2"));
}

/** Cut a line at separators that are not within quotes. */
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

/** A unique name for a column. */
function nameOf(names, name, index) {
  if (!name) return `column ${index + 1}`;
  return names.indexOf(name) === index ? name : `${name}, column ${index + 1}`;
}

const isNumber = (cell) => cell !== "" && Number.isFinite(Number(cell));
