/** A record on its way from a worker to the primary: text, of which the primary reads no more than somebody asks for. */
import { toLineJson } from '../audit/sink.ts';
import type { AuditEvent, Measures } from '../types.ts';

/** In the order of `packMeasures`: names would be as long as what they name. */
export type PackedMeasures = readonly [
  durationS: number,
  firstByteS: number | undefined,
  decisionS: number | undefined,
  reasonLabel: string,
  overheadS: number | undefined,
  traceSampled: boolean | undefined,
];

/** A request that has ended. */
export interface ToldEnd {
  readonly text: string;
  /** Characters of `text` before the member `input`, which is half of it; 0 where it has none. */
  readonly inputAt: number;
  readonly measures: PackedMeasures;
}

/** A request that is handed to the upstream. */
export interface ToldDecision {
  /** Its `DecisionEvent` as JSON. */
  readonly decision: string;
}

export type Told = ToldEnd | ToldDecision;

const inputMember = ',"input":';

/** @param event `input` is its last member, as the recorder makes it */
export function tellEnd(event: AuditEvent, measures: Measures): ToldEnd {
  const { input } = event;
  const packed = packMeasures(measures);
  if (input === undefined) return { text: toLineJson(event), inputAt: 0, measures: packed };
  const head = toLineJson({ ...event, input: undefined }).slice(0, -1);
  return { text: `${head}${inputMember}${toLineJson(input)}}`, inputAt: head.length, measures: packed };
}

/** @returns the event; its input is read when it is asked for */
export function readEnd({ text, inputAt }: ToldEnd): AuditEvent {
  if (inputAt === 0) return JSON.parse(text);
  const event: AuditEvent = JSON.parse(`${text.slice(0, inputAt)}}`);
  let input: AuditEvent['input'];
  return Object.defineProperty(event, 'input', {
    enumerable: true,
    get() {
      input ??= JSON.parse(text.slice(inputAt + inputMember.length, -1));
      return input;
    },
  });
}

export function packMeasures(measures: Measures): PackedMeasures {
  const { durationS, firstByteS, decisionS, reasonLabel, overheadS, traceSampled } = measures;
  return [durationS, firstByteS, decisionS, reasonLabel, overheadS, traceSampled];
}

export function unpackMeasures(packed: PackedMeasures): Measures {
  const [durationS, firstByteS, decisionS, reasonLabel, overheadS, traceSampled] = packed;
  return { durationS, firstByteS, decisionS, reasonLabel, overheadS, traceSampled };
}
