/** Compiles the default policy and packs it as `opa build -t wasm` does, for the start from a compiled bundle. */
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { create } from 'tar';

import { readPolicySource } from '../../src/policy/source.ts';
import { createToolchain } from '../../src/policy/toolchain/toolchain.ts';

const entrypoint = 'ollama/authz';

/** @returns the path of the bundle */
export async function buildBundle(directory: string, policyPath: string): Promise<string> {
  const source = await readPolicySource(policyPath);
  const toolchain = createToolchain({ path: process.env['PATH'] });
  try {
    const { modules, data } = source;
    const { wasm } = await toolchain.compile({ modules, data, entrypoints: [entrypoint] });
    const files = await mkdtemp(join(directory, 'bundle-'));
    const manifest = { revision: 'bench', roots: [''], wasm: [{ entrypoint, module: '/policy.wasm' }] };
    await mkdir(files, { recursive: true });
    await writeFile(join(files, '.manifest'), JSON.stringify(manifest));
    await writeFile(join(files, 'data.json'), JSON.stringify(data));
    await writeFile(join(files, 'policy.wasm'), wasm);
    const file = join(directory, 'bundle.tar.gz');
    await create({ gzip: true, file, cwd: files, portable: true }, ['.manifest', 'data.json', 'policy.wasm']);
    return file;
  } finally {
    await toolchain.close();
  }
}
