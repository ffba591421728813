import { generateKeyPairSync } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Makes a key where Ollama's command line looks for it.
 *
 * @returns its public half, as `id_ed25519.pub` would hold it
 */
export async function writeOllamaKey(home: string): Promise<string> {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  await mkdir(join(home, '.ollama'), { recursive: true });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
  await writeFile(join(home, '.ollama', 'id_ed25519'), pem, { mode: 0o600 });
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  const head = Buffer.from('\0\0\0\x0bssh-ed25519\0\0\0\x20', 'latin1');
  return `ssh-ed25519 ${Buffer.concat([head, raw]).toString('base64')} somebody@laptop`;
}
