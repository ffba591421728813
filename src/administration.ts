/** The part of the composition root that answers operators: what decides now, and what they may change of it. */
import type { PolicyMember } from './active-policy.ts';
import { formatFault, PolicyError, RequestError } from './errors.ts';
import type { Administration, PolicyDocument, RefusedDocument } from './http/admin/contract.ts';
import type { LivePolicy, RefusedChange } from './live-policy.ts';
import type { Address } from './types.ts';
import { readVersion } from './version.ts';

export interface AdministrationParts {
  readonly policy: LivePolicy;
  readonly inFlight: () => number;
  /** Why the sidecar is not ready, in words; empty where it is. */
  readonly notReady: () => readonly string[];
  /** Id of the upstream. */
  readonly upstream: string;
  /** What was bound, by name. */
  readonly listeners: () => Readonly<Record<string, Address>>;
}

export function createAdministration(parts: AdministrationParts): Administration {
  const { policy } = parts;
  const startedMs = Date.now();
  const version = readVersion();

  return {
    status: () => ({
      version,
      started_at: new Date(startedMs).toISOString(),
      uptime_s: Math.round((Date.now() - startedMs) / 1000),
      in_flight: parts.inFlight(),
      ready: parts.notReady().length === 0,
      not_ready: parts.notReady(),
      upstream: parts.upstream,
      listeners: Object.fromEntries(
        Object.entries(parts.listeners()).map(([name, address]) => [name, formatAddress(address)]),
      ),
      policies: listPolicies(),
    }),
    policies: listPolicies,
    async reload(name) {
      const former = find(name);
      const result = await policy.reload(name);
      return {
        policy: name,
        result,
        revision: find(name).loaded.revision,
        former_revision: former.loaded.revision,
        refused: describeRefused(policy.refused().get(name)),
      };
    },
  };

  function find(name: string): PolicyMember {
    const { members } = policy.active();
    const found = members.find(({ config }) => config.name === name);
    if (found !== undefined) return found;
    const names = members.map(({ config }) => config.name).join(', ');
    throw new RequestError('unknown_policy', `There is no such policy; there is ${names}.`);
  }

  function listPolicies(): readonly PolicyDocument[] {
    const refused = policy.refused();
    return policy.active().members.map((member) => describeMember(member, refused.get(member.config.name)));
  }
}

function describeMember(
  { config, prepared, loaded, loadedAtMs }: PolicyMember,
  refused: RefusedChange | undefined,
): PolicyDocument {
  return {
    name: config.name,
    revision: loaded.revision,
    engine: config.engine,
    entrypoint: config.entrypoint,
    path: config.path,
    kind: prepared.kind,
    loaded_at: new Date(loadedAtMs).toISOString(),
    tests_passed: prepared.testsPassed,
    not_ready: loaded.notReady?.(),
    refused: describeRefused(refused),
  };
}

function describeRefused(change: RefusedChange | undefined): RefusedDocument | undefined {
  if (change === undefined) return undefined;
  const { error } = change;
  const message = error instanceof Error ? error.message : String(error);
  return {
    at: new Date(change.atMs).toISOString(),
    summary: message.split('\n', 1)[0] ?? '',
    faults: error instanceof PolicyError ? error.faults.map(formatFault) : [],
  };
}

function formatAddress({ host, port }: Address): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
