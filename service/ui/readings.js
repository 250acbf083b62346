/** Columns of numbers in what was pasted: CSV with or without a head, or numbers as they come. */

/**
 * @param {string} text
 * @returns {{name: string, values: number[]}[]} The columns that hold numbers and nothing else.
 */
export function columnsOf(text) {
  const rows = text.trim().split(/\r?\n/).filter((line) => line.trim()).map(cellsOf);
  if (!rows.length) return [];
  if (rows.length === 1) return named(["readings"], rows[0].map((cell) => [cell]));
  const hasHead = rows[0].some((cell) => !isNumber(cell)) && rows[1].some(isNumber);
  const names = hasHead ? rows[0] : rows[0].map((_, index) => (rows[0].length === 1 ? "readings" : `column ${index + 1}`));
  return named(names, hasHead ? rows.slice(1) : rows);
}

function cellsOf(line) {
  const separator = [";", "\t", ","].find((each) => line.includes(each)) ?? /\s+/;
  return line.trim().split(separator).map((cell) => cell.trim().replace(/^"(.*)"$/, "$1"));
}

function named(names, rows) {
  const columns = names.map((name, index) => ({ name: name || `column ${index + 1}`, cells: rows.map((row) => row[index] ?? "") }));
  return columns.filter(({ cells }) => cells.every(isNumber)).map(({ name, cells }) => ({ name, values: cells.map(Number) }));
}

const isNumber = (cell) => cell !== "" && Number.isFinite(Number(cell));
