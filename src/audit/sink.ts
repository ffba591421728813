/**
 * Where records go. A sink is handed what happened, each as an event and as its JSON, which is made once for all of them.
 * It is never waited for and never throws into a request; a sink that forwards must wait for (`admit`) says so.
 */
import type { AdminEvent, AuditEvent, ShadowEvent } from '../types.ts';

interface Told<Kind extends string, Event> {
  /** Stands as `event` in its line. */
  readonly kind: Kind;
  readonly event: Event;
  /** The event as a JSON object, without `kind`: one line, no character that a terminal takes for a command. */
  readonly json: () => string;
}

/** A request that ended; what a shadow would have decided otherwise; what an operator changed or tried to. */
export type Recorded = Told<'audit', AuditEvent> | Told<'shadow', ShadowEvent> | Told<'admin', AdminEvent>;

/**
 * Told of a request that is about to be handed to the upstream.
 *
 * @param decision makes a `DecisionEvent` as a JSON object, which takes some work; to be called once, within a second
 * @returns what has to be over before the request goes on, if anything; it rejects with a `RequestError` where the
 *   request must not go on
 */
export type Admit = (decision: () => string) => Promise<void> | undefined;

export interface AuditSink {
  /** Of a fixed set: a label of metrics, and what the log calls it. */
  readonly name: string;
  /** In order. What it can't keep it counts by itself; what it throws is counted as one event lost. */
  write(recorded: Recorded): void;
  readonly admit?: Admit;
  /** Why requests can't be recorded at the moment as the configuration wants it, a sentence; undefined where they can. */
  notReady?(): string | undefined;
  /** For a process that is about to crash: writes what was gathered, at once. Never throws. */
  flushNow?(): void;
  /** Waits until everything is written, for a bounded time. Nothing is written afterwards. */
  close(): Promise<void>;
}

/** All sinks as one. */
export interface AuditSinks {
  readonly record: (recorded: Recorded) => void;
  readonly observeShadow: (event: ShadowEvent) => void;
  readonly observeAdmin: (event: AdminEvent) => void;
  /** Undefined where no sink wants to be told before a request goes on. */
  readonly admit: Admit | undefined;
  notReady(): readonly string[];
  flushNow(): void;
  close(): Promise<void>;
}

/** @param onFailure told of each event that a sink failed to take, by the sink's name */
export function createSinks(
  sinks: readonly AuditSink[],
  onFailure: (sink: string, error: unknown) => void,
): AuditSinks {
  function tell(recorded: Recorded): void {
    for (const sink of sinks) {
      try {
        sink.write(recorded);
      } catch (error) {
        onFailure(sink.name, error);
      }
    }
  }

  const gates = sinks.flatMap(({ admit }) => (admit === undefined ? [] : [admit]));
  return {
    record: tell,
    observeShadow: (event) => tell({ kind: 'shadow', event, json: once(() => toLineJson(event)) }),
    observeAdmin: (event) => tell({ kind: 'admin', event, json: once(() => toLineJson(event)) }),
    admit: gates.length > 1 ? askAll(gates) : gates[0],
    notReady: () => sinks.flatMap((sink) => sink.notReady?.() ?? []),
    flushNow() {
      for (const sink of sinks) sink.flushNow?.();
    },
    async close() {
      await Promise.all(sinks.map((sink) => sink.close()));
    },
  };
}

export function createAuditRecorded(event: AuditEvent): Recorded {
  return { kind: 'audit', event, json: once(() => toLineJson(event)) };
}

/** The line of what was recorded, with its end. It says what it is first, which tells it from logs. */
export function toLine({ kind, json }: Recorded): string {
  return `{"event":"${kind}",${json().slice(1)}\n`;
}

function askAll(gates: readonly Admit[]): Admit {
  return (make) => {
    const decision = once(make);
    const waits = gates.flatMap((admit) => admit(decision) ?? []);
    return waits.length === 0 ? undefined : Promise.all(waits).then(() => {});
  };
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/**
 * Characters that JSON leaves as they are and a terminal takes for commands (C1 controls), or a reader for line ends.
 * What stands in a line was chosen by callers too: names of models, subjects.
 */
const unprintable = /[\u007f-\u009f\u2028\u2029]/g;

/** @returns JSON without those characters */
export function toLineJson(event: object): string {
  const json = JSON.stringify(event);
  // Nearly every line is ASCII, and to see that takes a twentieth of the search.
  const isPlain = Buffer.byteLength(json) === json.length && !json.includes('\u007f');
  return isPlain ? json : json.replace(unprintable, escapeCharacter);
}

/**
 * What the recorder says of the decision, out of what it says of the whole request: its event begins with the members of a
 * `DecisionEvent`, and `method` is the first one behind them. To make JSON of them again takes five times as long.
 *
 * @param json of an audit event
 * @returns undefined where it is none of the recorder's
 */
export function decisionIn(json: string): string | undefined {
  // A quote within a text has a backslash before it, and no member before this one is an object.
  const end = json.indexOf(',"method":');
  return end < 0 ? undefined : `${json.slice(0, end)}}`;
}

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
