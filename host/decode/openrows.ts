import type { Row } from "./row";

/** The open rows of a session. */
export class OpenRows extends Set<Row> {
  constructor(private readonly limit: number) {
    super();
  }

  /** @throws RangeError if `n` more rows would be too many */
  expectRoom(verb: string, n: number): void {
    if (this.size + n <= this.limit) return;
    throw new RangeError(`${verb}: the session has ${this.limit} rows, of which ${this.size} are open; it cannot open ${n} more`);
  }

  /** @throws TypeError unless `rows` is a list of open rows, each given once */
  expectOpen(verb: string, rows: readonly Row[]): void {
    if (!Array.isArray(rows)) throw new TypeError(`${verb}: expected a list of rows`);
    const seen = new Set<Row>();
    rows.forEach((row, i) => {
      if (!this.has(row)) throw new TypeError(`${verb}: row ${i} is not open in this session`);
      if (seen.has(row)) throw new TypeError(`${verb}: row ${i} is given twice`);
      seen.add(row);
    });
  }

  /** Like `expectOpen`, and refuses rows that `append` is still extending. */
  expectRead(verb: string, rows: readonly Row[]): void {
    this.expectOpen(verb, rows);
    const busy = rows.findIndex((row) => row.stored < row.tokens.length - 1);
    if (busy >= 0) throw new TypeError(`${verb}: row ${busy} is still reading tokens: await append first`);
  }

  /** Like `expectRead`, and refuses rows that wait for `choose`. */
  expectReady(verb: string, rows: readonly Row[]): void {
    this.expectRead(verb, rows);
    const waiting = rows.findIndex((row) => row.stored === row.tokens.length);
    if (waiting >= 0) throw new TypeError(`${verb}: row ${waiting} waits for a token: call choose first`);
  }
}
