import type { ProfileLine } from "./profile";

/** A complete event of the trace format, with times in microseconds. */
interface TraceEvent {
  name: string;
  cat: string;
  ph: "X";
  ts: number;
  dur: number;
  pid: number;
  tid: number;
  args: Record<string, unknown>;
}

/** A track of the trace: a program's name and instructions. */
export interface Track {
  readonly name: string;
  readonly lines: readonly ProfileLine[];
}

/**
 * Converts profiles to a Chrome trace (chrome://tracing, ui.perfetto.dev): one track per program, with its instructions one after
 * another, each below the layers it belongs to.
 * Format: "Trace Event Format", docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU.
 *
 * @example
 * JSON.stringify(chromeTrace([{ name: "encode", lines: [] }])); // open this in the viewer
 */
export function chromeTrace(tracks: readonly Track[]): { displayTimeUnit: string; traceEvents: object[] } {
  const names = tracks.map(({ name }, i) => ({ name: "thread_name", ph: "M", pid: 1, tid: i + 1, args: { name } }));
  return { displayTimeUnit: "ns", traceEvents: [...names, ...tracks.flatMap(({ lines }, i) => trackEvents(lines, i + 1))] };
}

function trackEvents(lines: readonly ProfileLine[], tid: number): TraceEvent[] {
  const events: TraceEvent[] = [];
  const open: TraceEvent[] = []; // the layers of the last instruction, outermost first
  let start = 0; // in whole nanoseconds, so that rounding in the viewer never puts an instruction outside its layer
  for (const { name, layer, backward, ms, outputs, inputs, flops, bytes } of lines) {
    const path = [...(backward ? ["backward"] : []), ...(layer.match(/[^.]+(\.\d+)?/g) ?? [])];
    const isSame = path.findIndex((name, depth) => open[depth]?.name !== name);
    open.length = isSame < 0 ? path.length : isSame;
    const event = { ph: "X" as const, ts: start / 1000, pid: 1, tid };
    const entered = path.slice(open.length).map((name): TraceEvent => ({ name, cat: "layer", ...event, dur: 0, args: {} }));
    for (const layerEvent of entered) {
      open.push(layerEvent);
      events.push(layerEvent);
    }
    const duration = Math.round(1e6 * ms);
    events.push({ name, cat: "kernel", ...event, dur: duration / 1000, args: { layer, backward, outputs, inputs, flops, bytes } });
    for (const layerEvent of open) layerEvent.dur = (start + duration) / 1000 - layerEvent.ts;
    start += duration;
  }
  return events;
}
