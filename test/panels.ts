/** A matrix [rows, columns] in the format `panels`, by its definition: element (r, c) at ((r / 16)·columns + c)·16 + r % 16. */
export function toPanels(x: ArrayLike<number>, rows: number, columns: number): Float32Array {
  const panels = new Float32Array(Math.ceil(rows / 16) * 16 * columns);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) panels[(Math.floor(r / 16) * columns + c) * 16 + (r % 16)] = x[r * columns + c]!;
  }
  return panels;
}
