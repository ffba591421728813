/** What the ops thread and the event loop say to each other. */
import type { Address } from '../../configured/config.ts';
import type { OpsAnswer, OpsQuestion } from './answer-ops.ts';
import type { ChannelEnd } from './channel.ts';

export interface OpsThreadData {
  readonly channel: ChannelEnd;
  readonly address: Address;
  /** One number: when the event loop last turned, by `process.hrtime`, in ms. */
  readonly turned: BigInt64Array;
  /** The same of each worker. */
  readonly workersTurned: BigInt64Array;
  /** Without a turn for so long the loop counts as stuck. */
  readonly stuckMs: number;
}

export type ToThread =
  | { readonly kind: 'answer'; readonly id: number; readonly answer: OpsAnswer }
  | { readonly kind: 'close'; readonly graceMs: number };

export type FromThread =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'failed'; readonly message: string; readonly code: string | undefined }
  | { readonly kind: 'question'; readonly id: number; readonly question: OpsQuestion };

/** On a clock that all threads share and nobody sets. */
export function nowMs(): bigint {
  return process.hrtime.bigint() / 1_000_000n;
}
