/** LiteLLM's proxy knows callers by keys and models by a list, and parses every body and answer. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { model } from '../../load/exchanges.ts';
import { exec, type Gateway, installOnce, startPrograms } from './gateway.ts';

const version = '1.106.2';
const key = 'sk-bench';

export const litellm: Gateway = {
  name: 'LiteLLM',
  does: 'key, list of models; reads body and answer',
  rewrites: true,
  token: key,
  async prepare() {
    await install();
    return version;
  },
  async start({ port, upstreamPort, directory }) {
    const config = join(directory, 'litellm.yaml');
    const params = { model: `openai/${model}`, api_base: `http://127.0.0.1:${upstreamPort}/v1`, api_key: 'none' };
    // JSON is YAML.
    await writeFile(
      config,
      JSON.stringify({
        model_list: [{ model_name: model, litellm_params: params }],
        general_settings: { master_key: key },
        litellm_settings: { telemetry: false },
      }),
    );
    const packages = await install();
    return await startPrograms({
      command: 'python3',
      args: [
        join(packages, 'bin/litellm'),
        '--config',
        config,
        '--host',
        '127.0.0.1',
        '--port',
        String(port),
        '--num_workers',
        '1',
      ],
      // Else it asks the network for the list of prices.
      env: { PYTHONPATH: packages, LITELLM_LOCAL_MODEL_COST_MAP: 'True', LITELLM_LOG: 'ERROR', NO_PROXY: '*' },
      port,
    });
  },
};

function install(): Promise<string> {
  return installOnce(`litellm-${version}`, async (directory) => {
    const args = ['-m', 'pip', 'install', '-q', '--target', directory, `litellm[proxy]==${version}`];
    await exec('python3', args, { maxBuffer: 16 << 20 });
  });
}
