/**
 * The published keys of one issuer, kept and asked for again: at intervals that the issuer may choose within bounds, and
 * for a token whose key is not among them. Keys that can't be asked for again hold for a while; a key that is no longer
 * published ends with its grace.
 */
import type { IssuerConfig } from '../configured/identity.ts';
import { discoverKeys } from './discovery.ts';
import { type GetOptions, getDocument } from './get-document.ts';
import { type PublishedKey, readKeySet } from './jwks.ts';
import type { KeyRing, TrustedKey } from './verifier.ts';

/** One question for keys that are not known in so long, ms, whoever sends tokens with made-up key ids. */
const lookEveryMs = 30_000;
/** The first pause behind a failure, ms; each is twice the one before. */
const firstPauseMs = 1_000;
/** Requests that wait for one question; each holds a place of limits.in_flight. */
const mostWaiting = 1_000;
/** Keys that one token may be tried with: a signature costs up to 0.3 ms to check. */
const mostTried = 4;
/** Key ids that are remembered as not published. */
const mostMissing = 1_000;

export interface IssuerKeysOptions {
  /** How long tokens of a key count that is no longer published, ms. */
  readonly graceMs: number;
  /** Told of every question; `error` where it failed. */
  readonly onRefresh?: (refresh: Refresh) => void;
  /** The clock, ms. */
  readonly now?: () => number;
  /** Gets the document; over HTTPS by default. */
  readonly get?: (url: URL, options: GetOptions) => ReturnType<typeof getDocument>;
}

export interface Refresh {
  readonly issuer: string;
  readonly error?: unknown;
  /** Keys that were not there before, and that are there no longer. */
  readonly added: number;
  readonly removed: number;
  readonly ignored: readonly string[];
}

export interface IssuerState {
  readonly issuer: string;
  readonly keys: readonly {
    readonly kid: string | undefined;
    readonly algorithms: readonly string[];
    readonly usableUntilMs: number;
    readonly published: boolean;
  }[];
  /** When the keys were had last; undefined: never. */
  readonly refreshedMs: number | undefined;
  /** Of the last question, where it failed. */
  readonly error: unknown;
  /** Of the set that was had last. */
  readonly ignored: readonly string[];
}

export interface IssuerKeys extends KeyRing {
  /** Asks now. Never rejects. */
  refresh(): Promise<void>;
  state(): IssuerState;
  close(): void;
}

/** Asks for nothing before `refresh` is called; from then on at its intervals. */
export function createIssuerKeys(config: IssuerConfig, options: IssuerKeysOptions): IssuerKeys {
  const { now = Date.now, get = getDocument } = options;
  /** By fingerprint; those whose grace lasts among them. */
  let keys = new Map<string, TrustedKey>();
  let published: ReadonlySet<string> = new Set();
  let ignored: readonly string[] = [];
  let refreshedMs: number | undefined;
  let error: unknown;
  let failures = 0;
  let asking: Promise<void> | undefined;
  let waiting = 0;
  let lookedMs = Number.NEGATIVE_INFINITY;
  const missing = new Map<string, { readonly tries: number; readonly untilMs: number }>();
  let timer: NodeJS.Timeout | undefined;
  const closed = new AbortController();

  return {
    find(algorithm, kid) {
      const time = now();
      const fitting: TrustedKey[] = [];
      for (const key of keys.values()) {
        if (kid !== undefined && key.kid !== kid) continue;
        if (time < key.usableUntilMs && key.algorithms.some((name) => name === algorithm)) fitting.push(key);
      }
      // Of keys that a token does not tell apart each would have to be tried, by whoever likes to send such tokens.
      return fitting.length > mostTried ? [] : fitting;
    },
    look,
    refresh,
    state: () => ({
      issuer: config.issuer,
      keys: [...keys].map(([fingerprint, { kid, algorithms, usableUntilMs }]) => ({
        kid,
        algorithms,
        usableUntilMs,
        published: published.has(fingerprint),
      })),
      refreshedMs,
      error,
      ignored,
    }),
    close() {
      closed.abort();
      clearTimeout(timer);
    },
  };

  function look(algorithm: string, kid: string | undefined): ReturnType<KeyRing['look']> {
    if (!config.algorithms.some((name) => name === algorithm)) return undefined;
    if (kid !== undefined && isKnown(kid)) return undefined;
    if (asking !== undefined) return waiting < mostWaiting ? wait(asking) : unavailable();
    // It is asked again soon; until then nobody can say whether this is a key of the issuer.
    if (failures > 0 || closed.signal.aborted) return unavailable();
    const time = now();
    const name = kid ?? '';
    const missed = missing.get(name);
    if (time < lookedMs + lookEveryMs || (missed !== undefined && time < missed.untilMs)) return undefined;
    lookedMs = time;
    return wait(refresh()).then(() => {
      if (failures > 0) return;
      if (kid !== undefined && isKnown(kid)) missing.delete(name);
      else remember(name);
    });
  }

  async function wait(question: Promise<void>): Promise<void> {
    waiting += 1;
    await question;
    waiting -= 1;
  }

  function unavailable(): { readonly unavailable: string } {
    return { unavailable: 'The keys of the issuer of this token can not be asked for at the moment.' };
  }

  function isKnown(kid: string): boolean {
    const time = now();
    return [...keys.values()].some((key) => key.kid === kid && time < key.usableUntilMs);
  }

  /** Old tokens of a key that is gone must not use up the looks that tokens of a new one need. */
  function remember(name: string): void {
    const tries = (missing.get(name)?.tries ?? 0) + 1;
    missing.delete(name);
    missing.set(name, { tries, untilMs: now() + lookEveryMs * 2 ** Math.min(tries, 8) });
    const [oldest] = missing.keys();
    if (missing.size > mostMissing && oldest !== undefined) missing.delete(oldest);
  }

  function refresh(): Promise<void> {
    asking ??= ask()
      .then(plan)
      .finally(() => {
        asking = undefined;
      });
    return asking;
  }

  /** @returns until the next question, ms */
  async function ask(): Promise<number> {
    const { issuer, timeout: timeoutMs, tls } = config;
    try {
      const how = { timeoutMs, tls, signal: closed.signal };
      const url = config.jwksUrl ?? (await discoverKeys(issuer, how, get));
      const { value, maxAgeS } = await get(url, how);
      const set = readKeySet(value, config.algorithms);
      if (typeof set === 'string') throw new Error(`${url.origin}${url.pathname} answered, but ${set}`);
      const changes = apply(set.keys);
      ignored = set.ignored;
      failures = 0;
      error = undefined;
      refreshedMs = now();
      options.onRefresh?.({ issuer, ...changes, ignored });
      const wanted = maxAgeS === undefined ? config.refresh : maxAgeS * 1000;
      return Math.min(Math.max(wanted, config.refreshMin), config.refreshMax);
    } catch (cause) {
      failures += 1;
      error = cause;
      if (!closed.signal.aborted) options.onRefresh?.({ issuer, error, added: 0, removed: 0, ignored: [] });
      return Math.min(firstPauseMs * 2 ** Math.min(failures - 1, 16), lookEveryMs, config.refreshMax);
    }
  }

  /** Never later than asked for, and not all of a fleet at once. */
  function plan(ms: number): void {
    clearTimeout(timer);
    if (!closed.signal.aborted) timer = setTimeout(() => void refresh(), ms * (0.8 + 0.2 * Math.random())).unref();
  }

  function apply(set: readonly PublishedKey[]): { readonly added: number; readonly removed: number } {
    const time = now();
    const next = new Map<string, TrustedKey>();
    for (const { fingerprint, key, kid, algorithms } of set) {
      const trusted = keys.get(fingerprint) ?? { key, kid, algorithms, usableUntilMs: 0 };
      trusted.usableUntilMs = time + config.stale;
      next.set(fingerprint, trusted);
    }
    const added = [...next.keys()].filter((fingerprint) => !published.has(fingerprint)).length;
    const removed = [...published].filter((fingerprint) => !next.has(fingerprint));
    published = new Set(next.keys());
    for (const fingerprint of removed) {
      const gone = keys.get(fingerprint);
      if (gone !== undefined) gone.usableUntilMs = Math.min(gone.usableUntilMs, time + options.graceMs);
    }
    for (const [fingerprint, key] of keys) {
      if (!next.has(fingerprint) && time < key.usableUntilMs) next.set(fingerprint, key);
    }
    keys = next;
    return { added, removed: removed.length };
  }
}
