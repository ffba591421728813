/** A Prometheus of the test's own, which scrapes one address each second and evaluates the rules. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { stringify } from 'yaml';

import { findFreePort } from '../support/free-port.ts';
import { findCommand } from './prepare.ts';

export interface PrometheusServer {
  /** @returns the result of an instant query; rejects where Prometheus can't parse it */
  query(expr: string): Promise<readonly unknown[]>;
  /** Any path of its API below /api/v1. */
  get(path: string): Promise<unknown>;
  close(): Promise<void>;
}

/** @param target host and port that is scraped, as the job `opallama` */
export async function startPrometheus(target: string, rulesFile: string): Promise<PrometheusServer> {
  const folder = mkdtempSync(join(tmpdir(), 'opallama-prometheus-'));
  const port = await findFreePort();
  const config = {
    global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    rule_files: [rulesFile],
    scrape_configs: [{ job_name: 'opallama', static_configs: [{ targets: [target] }] }],
    storage: { exemplars: { max_exemplars: 1000 } },
  };
  writeFileSync(join(folder, 'prometheus.yml'), stringify(config));
  const child = spawn(
    findCommand('prometheus'),
    [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--enable-feature=exemplar-storage',
      '--log.level=warn',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  const exited = once(child, 'exit');

  async function get(path: string): Promise<unknown> {
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`, { signal: AbortSignal.timeout(10_000) });
    const document: unknown = await answer.json();
    if (typeof document === 'object' && document !== null && 'data' in document && answer.ok) return document.data;
    throw new Error(`${path}: ${JSON.stringify(document)}`);
  }

  async function close(): Promise<void> {
    child.kill('SIGTERM');
    await exited;
    rmSync(folder, { recursive: true, maxRetries: 10, force: true });
  }

  for (let tries = 0; ; tries += 1) {
    try {
      await get('status/buildinfo');
      break;
    } catch (error) {
      if (child.exitCode !== null || tries > 300) {
        await close();
        throw new Error(`Prometheus does not start:\n${log}`, { cause: error });
      }
      await sleep(100);
    }
  }
  return {
    get,
    async query(expr) {
      const data = await get(`query?query=${encodeURIComponent(expr)}`);
      if (typeof data === 'object' && data !== null && 'result' in data && Array.isArray(data.result))
        return data.result;
      throw new Error(`${expr}: ${JSON.stringify(data)}`);
    },
    close,
  };
}
