/** What a worker has to tell the primary, gathered: a message for each request would cost as much as its record. */

import type { RecordObserver } from '../../audit/record.ts';
import type { Admit } from '../../audit/sink.ts';
import type { AuditFileConfig } from '../../configured/audit.ts';
import { RequestError } from '../../errors.ts';
import type { ShadowEvent } from '../../types.ts';
import type { Count, FromWorker } from '../messages.ts';
import { type Told, tellEnd } from '../told.ts';

export interface Outbox {
  readonly observe: RecordObserver;
  /** Told of each request before it is handed to the upstream; undefined where no file wants to know. */
  readonly admit: Admit | undefined;
  count(count: Count): void;
  disagree(event: ShadowEvent): void;
  log(text: string): void;
  /** The primary has answered what was to be admitted. */
  admitted(id: number, refused: readonly number[]): void;
  /** The audit file can be written, or not, from now on. */
  auditFails(fails: boolean): void;
  /** Sends what there is. */
  flush(): void;
}

export interface OutboxOptions {
  readonly file: Pick<AuditFileConfig, 'durability' | 'onFailure'> | undefined;
  readonly auditFails: boolean;
  /** @param onSent called once the message has left this process */
  readonly send: (message: FromWorker, onSent: () => void) => void;
}

interface Waiting {
  readonly text: string;
  resolve(): void;
  reject(error: unknown): void;
}

/** As late as a record may be anyway. */
const delayMs = 20;
/** What may wait for a primary that does not listen; what comes behind is lost and counted. */
const mostUnsent = 50_000;
/** Longer than the disk may take before the primary says that it failed. */
const admitMs = 10_000;

export function createOutbox(options: OutboxOptions): Outbox {
  const { file, send } = options;
  let { auditFails } = options;
  /** Each makes what is told: together, and not between two sockets. */
  let entries: (() => Told)[] = [];
  let counts: Count[] = [];
  let disagreements: ShadowEvent[] = [];
  let texts = '';
  let timer: NodeJS.Timeout | undefined;
  let soon: NodeJS.Immediate | undefined;
  let unsent = 0;
  let lost = 0;
  let admitting: Waiting[] = [];
  const admissions = new Map<number, { readonly waiting: readonly Waiting[]; readonly timer: NodeJS.Timeout }>();
  let lastId = 0;

  return {
    observe(event, measures) {
      add(() => tellEnd(event, measures));
      // Events come together: those behind this one are in the same turn of the event loop.
      soon ??= setImmediate(flush);
    },
    admit: file && admit,
    count(count) {
      counts.push(count);
      later();
    },
    disagree(event) {
      disagreements.push(event);
      later();
    },
    log(text) {
      texts += text;
      soon ??= setImmediate(flush);
    },
    admitted(id, refused) {
      const group = admissions.get(id);
      if (group === undefined) return;
      admissions.delete(id);
      clearTimeout(group.timer);
      for (const [place, one] of group.waiting.entries())
        if (refused.includes(place)) one.reject(new RequestError('audit_unavailable'));
        else one.resolve();
    },
    auditFails(fails) {
      auditFails = fails;
    },
    flush,
  };

  function add(entry: () => Told): void {
    if (unsent + entries.length < mostUnsent) entries.push(entry);
    else lost += 1;
  }

  function later(): void {
    timer ??= setTimeout(flush, delayMs);
  }

  function admit(decision: () => string): Promise<void> | undefined {
    if (file?.durability === 'strict') return admitAndWait(decision());
    if (auditFails && file?.onFailure === 'refuse') return Promise.reject(new RequestError('audit_unavailable'));
    add(() => ({ decision: decision() }));
    later();
    return undefined;
  }

  function admitAndWait(text: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // What else this turn of the event loop brings goes with it.
    if (admitting.length === 0) setImmediate(sendAdmissions);
    admitting.push({ text, resolve, reject });
    return promise;
  }

  function sendAdmissions(): void {
    lastId += 1;
    const id = lastId;
    const waiting = admitting;
    admitting = [];
    const late = setTimeout(() => {
      admissions.delete(id);
      for (const one of waiting) one.reject(new RequestError('audit_unavailable'));
    }, admitMs);
    admissions.set(id, { waiting, timer: late });
    send({ kind: 'admit', id, texts: waiting.map(({ text }) => text) }, () => {});
  }

  function flush(): void {
    clearTimeout(timer);
    clearImmediate(soon);
    timer = undefined;
    soon = undefined;
    if (texts !== '') send({ kind: 'log', text: texts }, () => {});
    texts = '';
    if (lost > 0) counts.push(['auditFailed', 'record', lost]);
    lost = 0;
    if (entries.length + counts.length + disagreements.length === 0) return;
    const told = entries.map((make) => make());
    const message = { kind: 'records' as const, told, counts, disagreements };
    entries = [];
    counts = [];
    disagreements = [];
    unsent += told.length;
    send(message, () => {
      unsent -= told.length;
    });
  }
}
