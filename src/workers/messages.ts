/**
 * What the primary and its workers say to each other. Types only. Everything is said in order: what a worker tells before
 * it answers has been heard when its answer has.
 */
import type { Place } from '../decision/isolation/choose.ts';
import type { Failure, PackedPolicy, PolicyFacts } from '../decision/isolation/messages.ts';
import type { DrainState } from '../http/drain.ts';
import type { IdentityDescription } from '../identity/describe-identity.ts';
import type { ShadowEvent, ShadowResult } from '../types.ts';
import type { RecordedSources } from './sources.ts';
import type { Told } from './told.ts';

/** With what a worker begins. */
export interface Start {
  /** Its own, from 1. */
  readonly number: number;
  /** Of all workers. */
  readonly count: number;
  readonly sources: RecordedSources;
  readonly logLevel: string;
  /** This sidecar's name in `Via`: a request that comes back to another worker is in a loop all the same. */
  readonly pseudonym: string;
  readonly drainState: DrainState;
  readonly auditFails: boolean;
}

/** A policy as the primary has prepared it. */
export interface Offer {
  readonly id: number;
  /** Its name in the configuration. */
  readonly policy: string;
  readonly packed: PackedPolicy;
  /** Of all files of the policy. */
  readonly bytes: number;
}

export interface LoadedOffer {
  readonly facts: Omit<PolicyFacts, 'opaModule'>;
  readonly place: Place;
}

/** By the ids of offers; undefined where a policy has nothing yet. */
export interface Choices {
  readonly policies: readonly {
    readonly policy: string;
    readonly deciding: number | undefined;
    readonly candidate: { readonly id: number | undefined; readonly percent: number } | undefined;
  }[];
  readonly shadow: number | undefined;
}

/** What is asked of a worker, and what it answers with. */
export interface Questions {
  /** Once callers are known and nobody is answered yet. */
  readonly start: { readonly ask: Start; readonly answer: undefined };
  readonly load: { readonly ask: Offer; readonly answer: LoadedOffer };
  readonly decide: { readonly ask: Choices; readonly answer: undefined };
  /** Takes connections from now on; the port that was bound. */
  readonly serve: { readonly ask: undefined; readonly answer: number };
  /** Tells of the requests that have ended, and how it is. */
  readonly tell: { readonly ask: undefined; readonly answer: undefined };
  /** Looks whether keys, lists or certificates have changed. */
  readonly look: { readonly ask: undefined; readonly answer: undefined };
  /** Takes no more connections, and ends what is in flight within so many ms. */
  readonly end: { readonly ask: number; readonly answer: undefined };
}

export type Subject = keyof Questions;

export type Question = {
  readonly [S in Subject]: {
    readonly kind: 'ask';
    readonly id: number;
    readonly about: S;
    readonly ask: Questions[S]['ask'];
  };
}[Subject];

export type ToWorker =
  | Question
  /** Nobody decides by it any more. */
  | { readonly kind: 'drop'; readonly id: number }
  | { readonly kind: 'drain'; readonly state: DrainState }
  | { readonly kind: 'log_level'; readonly level: string }
  | { readonly kind: 'audit_fails'; readonly fails: boolean }
  /** Of what was to be admitted, those that were not, by their place. */
  | { readonly kind: 'admitted'; readonly id: number; readonly refused: readonly number[] };

/** How a worker is, every second and when it is asked. */
export interface Vitals {
  readonly inFlight: number;
  readonly notReady: readonly string[];
  /** Of policies whose engine may come and go, by the ids of their offers. */
  readonly engines: readonly (readonly [id: number, revision: string, notReady: string | undefined])[];
  readonly expiries: readonly (readonly [connection: string, expiresMs: number])[];
  readonly identity: IdentityDescription | undefined;
  readonly residentBytes: number;
  readonly cpuS: number;
  readonly busyS: number;
}

/** What is counted by the primary: the name of a method of `Metrics`, and what it is called with. */
export type Count =
  | readonly ['auditFailed', sink: string, events: number]
  | readonly ['handshakeFailed', reason: string]
  | readonly ['tlsReloaded', connection: 'listener' | 'upstream', result: 'success' | 'failure']
  | readonly ['identityReloaded', source: string, issuer: string, result: 'success' | 'failure']
  | readonly ['shadowDecided', result: ShadowResult];

export type FromWorker =
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: WorkerFailure }
  | {
      readonly kind: 'records';
      readonly told: readonly Told[];
      readonly counts: readonly Count[];
      readonly disagreements: readonly ShadowEvent[];
    }
  /** Decisions that requests wait for. */
  | { readonly kind: 'admit'; readonly id: number; readonly texts: readonly string[] }
  | { readonly kind: 'log'; readonly text: string }
  | { readonly kind: 'vitals'; readonly vitals: Vitals };

/** An error without its class. */
export interface WorkerFailure extends Failure {
  /** Of a `ConfigError`. */
  readonly configFaults: readonly string[] | undefined;
  /** Of the system, such as `EADDRINUSE`. */
  readonly errno: string | undefined;
}
