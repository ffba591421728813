/** An audit file in a directory of the test's own, and what its tests look at. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { type FileSink, type FileSinkEvents, openFileSink } from '../../src/audit/file/file-sink.ts';
import { listClosed } from '../../src/audit/file/segments.ts';
import { createAuditRecorded } from '../../src/audit/sink.ts';
import type { AuditFileConfig } from '../../src/configured/audit.ts';
import type { AuditEvent, DecisionEvent } from '../../src/types.ts';

export interface TestFile {
  readonly config: AuditFileConfig;
  open(over?: Partial<AuditFileConfig>): Promise<FileSink>;
  /** Parsed lines of all files, the oldest first. */
  lines(): readonly Readonly<Record<string, unknown>>[];
  /** What the sink told of itself, in order. */
  readonly told: readonly string[];
  readonly heads: readonly string[];
}

export function createTestFile(t: TestContext, over: Partial<AuditFileConfig> = {}): TestFile {
  const directory = mkdtempSync(join(tmpdir(), 'opallama-audit-'));
  t.after(() => rmSync(directory, { recursive: true, maxRetries: 10, force: true }));
  const told: string[] = [];
  const heads: string[] = [];
  const config: AuditFileConfig = {
    path: join(directory, 'audit.jsonl'),
    durability: 'strict',
    onFailure: 'refuse',
    rotate: { size: 1 << 20, every: 0 },
    keep: { forMs: 0, bytes: 0 },
    heads: undefined,
    ...over,
  };
  const events: FileSinkEvents = {
    lost: (lines) => told.push(`lost ${lines}`),
    unrecorded: () => told.push('unrecorded'),
    failing: (error) => told.push(`failing ${error instanceof Error && 'code' in error ? error.code : error}`),
    recovered: () => told.push('recovered'),
    notRotated: (error) => told.push(`not rotated ${error}`),
    torn: (bytes, damaged) => told.push(`torn ${bytes} ${damaged}`),
    removed: (files) => told.push(`removed ${files.join()}`),
  };
  return {
    config,
    told,
    heads,
    open: (more) =>
      openFileSink(
        { ...config, ...more },
        { version: 'test', sendHead: (line) => heads.push(line), events, delayMs: 5 },
      ),
    lines: () =>
      [...listClosed(config.path).map(({ path }) => path), config.path].flatMap((path) =>
        readFileSync(path, 'utf8')
          .split('\n')
          .filter((line) => line !== '')
          .map((line) => ({ ...JSON.parse(line) })),
      ),
  };
}

export function decisionEvent(id: string): DecisionEvent {
  return {
    time: '2026-06-11T12:00:00.000Z',
    request_id: id,
    decision_id: `d-${id}`,
    principal: 'alice',
    api: 'ollama',
    operation: 'chat',
    model: 'tiny',
    provider: 'ollama',
    target: 'http://127.0.0.1:1',
    policy_result: 'allow',
    reasons: [],
  };
}

export function decisionJson(id: string): string {
  return JSON.stringify(decisionEvent(id));
}

export function auditEvent(id: string, over: Partial<AuditEvent> = {}): AuditEvent {
  return {
    ...decisionEvent(id),
    method: 'POST',
    path: '/api/chat',
    status: 200,
    usage: 'none',
    duration_ms: 1,
    outcome: 'complete',
    tool_name: 'ollama-api',
    mcp_server: 'ollama-proxy',
    action: 'POST',
    input: { version: 1 },
    ...over,
  };
}

/** One request from its decision to its end. */
export async function recordOne(sink: FileSink, id: string): Promise<void> {
  await sink.admit?.(() => decisionJson(id));
  sink.write(createAuditRecorded(auditEvent(id)));
}
