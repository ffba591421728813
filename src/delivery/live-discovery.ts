/**
 * The configuration that a control plane hands out: asked for again and again, checked as a whole, and taken or refused as a
 * whole. The last good one counts until there is another, also over a restart.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';
import type { DiscoveryConfig, ManagementConfig } from '../configured/management.ts';
import type { PolicyConfig } from '../configured/policy.ts';
import { PolicyError } from '../errors.ts';
import { type Discovered, readDiscovered } from '../management/discovered.ts';
import type { BundleStatus } from '../management/status-document.ts';
import { writeWhole } from '../policy/kept.ts';
import { createMirror } from '../policy/mirror.ts';
import { describeBundle } from './describe-bundles.ts';
import { evaluateDiscovery } from './evaluate-discovery.ts';

export interface LiveDiscoveryOptions {
  readonly boot: ManagementConfig;
  readonly policies: readonly PolicyConfig[];
  readonly searchPath: string | undefined;
  /** Told of each configuration that counts from now on, but for the first one. */
  readonly onChanged: (config: ManagementConfig) => Promise<void>;
  /** Told of what was refused, and with undefined of what was taken. */
  readonly onResult: (error: unknown, revision: string | undefined, overridden: readonly string[]) => void;
}

export interface LiveDiscovery {
  /** The configuration that counts at the start; undefined where nothing was ever discovered. */
  readonly first: ManagementConfig | undefined;
  /** Goes on asking. */
  follow(): void;
  look(): Promise<void>;
  /** Something was discovered. */
  isReady(): boolean;
  status(): BundleStatus;
  /** For people, a line or two. */
  describe(): readonly string[];
  close(): Promise<void>;
}

const kept = z.object({ of: z.string(), revision: z.string(), value: z.unknown() });

interface Active extends Discovered {
  readonly revision: string;
  readonly sinceMs: number;
  readonly isKept: boolean;
}

/** Asks once, before it returns. Never rejects. */
export async function startLiveDiscovery(
  config: DiscoveryConfig,
  options: LiveDiscoveryOptions,
): Promise<LiveDiscovery> {
  const { boot, policies } = options;
  const download = join(config.stateDir, 'discovery.download.tar.gz');
  const keptFile = join(config.stateDir, 'discovery.json');
  const source = sourceOf(config);
  const readOptions = {
    boot,
    wanted: new Set(policies.flatMap(({ bundle }) => (bundle?.url.protocol === 'bundle:' ? [bundle.name ?? ''] : []))),
    verifies: (name: string) =>
      policies.every(({ bundle, signature }) => bundle?.name !== name || signature !== undefined),
    polling: config.bundle,
  };
  let active: Active | undefined;
  let failure: unknown;
  /** One change after the other. */
  let last: Promise<void> = Promise.resolve();
  let closed = false;
  let isStarted = false;
  let mirrorFailure: unknown;

  const mirror = createMirror({
    bundle: config.bundle,
    file: download,
    signature: undefined,
    takesDeltas: false,
    onWritten: () => enqueue(take),
    onFailure(error) {
      // A server that is back says nothing about what it last sent.
      if (error === undefined && failure === mirrorFailure) failure = undefined;
      mirrorFailure = error;
      if (error !== undefined) refuse(error);
    },
  });
  mirrorFailure = await mirror.first();
  if (mirrorFailure === undefined) await take();
  else refuse(mirrorFailure);
  if (now() === undefined) await takeKept();
  isStarted = true;

  return {
    first: now()?.config,
    follow: mirror.follow,
    look: mirror.look,
    isReady: () => now() !== undefined,
    status() {
      const told = describeBundle('discovery', now(), mirror.facts(), failure);
      const { overridden = [] } = now() ?? {};
      if (told.message !== undefined || overridden.length === 0) return told;
      return { ...told, message: `The sidecar's own configuration counts for ${overridden.join(', ')}.` };
    },
    describe() {
      const found = now();
      const state =
        found === undefined
          ? 'discovery: nothing was discovered yet'
          : `discovery: revision ${found.revision} counts${found.isKept ? ', kept from an earlier run' : ''}`;
      if (failure === undefined) return [state];
      const message = failure instanceof Error ? failure.message : String(failure);
      const [summary = '', ...faults] = message.split('\n');
      return [state, `discovery: the last one was refused: ${summary}`, ...faults.map((fault) => `  ${fault}`)];
    },
    async close() {
      closed = true;
      mirror.close();
      await last;
    },
  };

  function now(): Active | undefined {
    return active;
  }

  function enqueue(change: () => Promise<void>): Promise<void> {
    last = last.then(change);
    return last;
  }

  /** Never rejects. */
  async function take(): Promise<void> {
    if (closed) return;
    try {
      const { revision, value } = await evaluateDiscovery(download, config, options.searchPath);
      const discovered = readDiscovered(value, readOptions);
      active = { ...discovered, revision, sinceMs: Date.now(), isKept: false };
      failure = undefined;
      await writeWhole(keptFile, Buffer.from(JSON.stringify({ of: source, revision, value })));
      if (isStarted) await options.onChanged(active.config);
      options.onResult(undefined, revision, discovered.overridden);
    } catch (error) {
      refuse(error);
    }
  }

  function refuse(error: unknown): void {
    failure = error;
    options.onResult(error, undefined, []);
  }

  /** It is read anew: what the sidecar's own configuration allows may be less by now. */
  async function takeKept(): Promise<void> {
    try {
      const { of, revision, value } = kept.parse(JSON.parse(await readFile(keptFile, 'utf8')));
      if (of !== source) throw new PolicyError(`What is kept in ${keptFile} was discovered elsewhere.`);
      active = { ...readDiscovered(value, readOptions), revision, sinceMs: Date.now(), isKept: true };
    } catch {
      // Why there is no new one is told; that there is no old one shows.
    }
  }
}

/** What must be the same for a kept one to stand in. */
function sourceOf({ bundle, decision, signature }: DiscoveryConfig): string {
  const signed = signature && [signature.algorithm, signature.keyId, signature.scope, signature.excludeFiles];
  const hash = createHash('sha256').update(JSON.stringify([bundle.url.href, decision, signed]));
  if (signature !== undefined)
    hash.update(
      signature.key.type === 'secret' ? signature.key.export() : signature.key.export({ type: 'spki', format: 'der' }),
    );
  return hash.digest('hex');
}
