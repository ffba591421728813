/** From the start of the command to the first 200 of `/readyz`, in the process that users run: no meter in it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { awaitReady, furnishSidecar } from '../peers/sidecar-home.ts';

const command = fileURLToPath(new URL('../../bin/opallama.js', import.meta.url));

/** @returns seconds */
export async function measureStart(directory: string, policyPath: string, upstreamPort: number): Promise<number> {
  const home = await furnishSidecar(directory, policyPath, upstreamPort);
  const startedMs = performance.now();
  const child = spawn(process.execPath, [command, ...home.args], {
    stdio: 'ignore',
    env: { PATH: process.env['PATH'], ...home.env },
  });
  const exited = once(child, 'exit');
  try {
    const died = exited.then(() => {
      throw new Error(`The sidecar ended before it was ready. Try: ${command} check --policy ${policyPath}`);
    });
    await Promise.race([awaitReady(home.opsPort), died]);
    return (performance.now() - startedMs) / 1000;
  } finally {
    child.kill('SIGKILL');
    await exited;
  }
}
